/** How names of headers are written to HTTP/1 servers. Everywhere else they are lower case. */
import { typeNameOf } from "@meltemi/protos";
import type { Http1ProtocolOptions_HeaderKeyFormat } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError } from "../../lib/config-error.ts";

/** "preserve" keeps the spelling of answers for the client; that of requests comes with their headers. */
export type HeaderCase = "lower" | "proper" | "preserve";

const preserveType = "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig";

export function compileHeaderCase(format: Http1ProtocolOptions_HeaderKeyFormat | undefined): HeaderCase {
  if (format?.proper_case_words) return "proper";
  if (format?.stateful_formatter === undefined) return "lower";
  const type = typeNameOf(format.stateful_formatter.typed_config?.type_url ?? "");
  if (type === preserveType) return "preserve";
  throw new ConfigError("http_protocol_options.header_key_format.stateful_formatter", `${type} is not implemented`);
}

/** "content-type" as "Content-Type": a letter is a capital at the beginning and after every character that is no letter or digit. */
export function toProperCase(name: string): string {
  return name.replaceAll(
    /(^|[^A-Za-z0-9])([a-z])/g,
    (_, before: string, letter: string) => before + letter.toUpperCase(),
  );
}
