/** Notes headers and cookies as metadata. */

import { decode, valueToJson } from "@meltemi/protos";
import type {
  Config,
  Config_KeyValuePair,
  Config_Rule,
} from "@meltemi/protos/envoy/extensions/filters/http/header_to_metadata/v3";
import type { HttpFilterFactory } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { StreamInfo } from "../http/stream-info.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { compileReplacement } from "../matchers/regex.ts";
import { withAnswer } from "./answer.ts";
import { findCookie } from "./cookies.ts";

const typeName = "envoy.extensions.filters.http.header_to_metadata.v3.Config";

interface CompiledRules {
  readonly request: readonly Rule[];
  readonly response: readonly Rule[];
}

type Rule = (headers: HeaderList, info: StreamInfo) => void;

export const headerToMetadataFactory: HttpFilterFactory<Config, CompiledRules> = {
  name: "envoy.filters.http.header_to_metadata",
  type: typeName,
  routeTypes: [typeName],
  compileRoute: (config) => compileRules(config as Config),
  compile(config) {
    const own = compileRules(config);
    return {
      handle(exchange, next) {
        const rules = exchange.perRoute(headerToMetadataFactory) ?? own;
        const { request, info } = exchange;
        for (const rule of rules.request) rule(request.headers, info);
        if (rules.response.length === 0) return next(exchange);
        return withAnswer(exchange, next, ({ headers }) => {
          for (const rule of rules.response) rule(headers, info);
        });
      },
    };
  },
};

function compileRules(wire: Config): CompiledRules {
  return {
    request: compileAll("request_rules", wire.request_rules, compileRule),
    response: compileAll("response_rules", wire.response_rules, compileRule),
  };
}

function compileRule(wire: Config_Rule): Rule {
  const header = wire.header?.toLowerCase() ?? "";
  const cookie = wire.cookie ?? "";
  if ((header === "") === (cookie === "")) throw new ConfigError("", "one of header and cookie is required");
  const { on_header_present: present, on_header_missing: missing } = wire;
  if (!present && !missing) throw new ConfigError("", "on_header_present or on_header_missing is required");
  const notePresent = present && within("on_header_present", () => compileNote(present));
  const noteMissing = missing && within("on_header_missing", () => compileNote(missing));
  if (missing && !missing.value) throw new ConfigError("on_header_missing.value", "is required");
  return (headers, info) => {
    const value = header === "" ? findCookie(headers, cookie) : headers.joined(header);
    if (value === undefined) {
      noteMissing?.("", info);
      return;
    }
    notePresent?.(value, info);
    if (wire.remove && header !== "") headers.remove(header);
  };
}

/** Envoy's: longer values are left out. */
const longestValue = 8 * 1024;

function compileNote(wire: Config_KeyValuePair): (value: string, info: StreamInfo) => void {
  const namespace = wire.metadata_namespace || "envoy.filters.http.header_to_metadata";
  const key = need("key", wire.key || undefined);
  const fixed = wire.value ?? "";
  const { regex_value_rewrite: rewrite } = wire;
  const change = rewrite
    ? within("regex_value_rewrite", () => compileReplacement(rewrite.pattern?.regex ?? "", rewrite.substitution ?? ""))
    : (text: string) => text;
  const parse = compileParse(wire);
  return (given, { dynamicMetadata }) => {
    const text = fixed === "" ? change(given) : fixed;
    if (text === "" || text.length >= longestValue) return;
    const value = parse(text);
    if (value === undefined) return;
    dynamicMetadata.set(namespace, { ...dynamicMetadata.get(namespace), [key]: value });
  };
}

/** Undefined for what cannot be read. */
function compileParse({ type = "STRING", encode }: Config_KeyValuePair): (text: string) => unknown {
  const decodeText = (text: string): Buffer => Buffer.from(text, encode === "BASE64" ? "base64" : "utf8");
  if (type === "STRING") return (text) => decodeText(text).toString("utf8");
  if (type === "NUMBER") {
    return (text) => {
      const number = Number(decodeText(text).toString("utf8"));
      return Number.isNaN(number) ? undefined : number;
    };
  }
  return (text) => {
    try {
      return valueToJson(decode("google.protobuf.Value", decodeText(text)));
    } catch {
      return undefined;
    }
  };
}
