/** Names of servers that TLS is asked for request by request: auto_sni and auto_san_validation of a cluster. */
import { isIP } from "node:net";
import { unpackAs } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { HttpRequest } from "../http/message.ts";
import { withoutPort } from "./virtual-host-index.ts";

export type UpstreamNaming = (request: HttpRequest) => {
  readonly sni?: string | undefined;
  readonly sans?: readonly string[] | undefined;
};

const optionsType = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Undefined where the cluster says all there is to say. */
export function readUpstreamNaming(cluster: Cluster): UpstreamNaming | undefined {
  const any = cluster.typed_extension_protocol_options?.[optionsType];
  const typed = any && unpackAs(optionsType, any)?.upstream_http_protocol_options;
  const options = typed ?? cluster.upstream_http_protocol_options;
  const hasSni = options?.auto_sni === true;
  const hasSan = options?.auto_san_validation === true;
  if (!hasSni && !hasSan) return undefined;
  const header = (options?.override_auto_sni_header ?? "").toLowerCase();
  return (request) => {
    const authority = (header === "" ? "" : (request.headers.get(header) ?? "")) || request.authority;
    const host = withoutPort(authority).replace(/^\[(.*)\]$/, "$1");
    return {
      // Addresses are no server names (RFC 6066).
      sni: hasSni && isIP(host) === 0 ? host : undefined,
      sans: hasSan ? [host] : undefined,
    };
  };
}
