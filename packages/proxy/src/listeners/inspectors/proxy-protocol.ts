import type { ProxyProtocol } from "@meltemi/protos/envoy/extensions/filters/listener/proxy_protocol/v3";
import type { Counter, Stats } from "../../lib/stats.ts";
import type { AcceptedSocket } from "../accepted-socket.ts";
import { type ListenerFilter, more, type Verdict } from "./listener-filter.ts";
import { type ParsedProxyHeader, type ProxyHeader, type ProxyTlv, parseProxyHeader } from "./proxy-header.ts";

/** Under this name the header is kept for upstreams that are told of it. */
export const proxyProtocolState = "envoy.network.proxy_protocol_options";

/** What is kept of a header for upstreams: the addresses are those of the connection. */
export interface ProxyProtocolState {
  readonly tlvs: readonly ProxyTlv[];
}

const ownNamespace = "envoy.filters.listener.proxy_protocol";

/** Reads the PROXY protocol: the client and its destination are those that the proxy before this one names. */
export function compileProxyProtocol(config: ProxyProtocol, stats: Stats): ListenerFilter {
  const prefix = config.stat_prefix === undefined || config.stat_prefix === "" ? "" : `.${config.stat_prefix}`;
  const count = createCounters(stats.scope(`proxy_proto${prefix}`));
  const disallowed = new Set(config.disallowed_versions ?? []);
  const isAllowed = (version: 1 | 2): boolean => !disallowed.has(version === 1 ? "V1" : "V2");
  const mayBeMissing = config.allow_requests_without_proxy_protocol === true;
  const note = compileNote(config);
  return {
    name: ownNamespace,
    accept: () => undefined,
    inspect(bytes: Buffer, accepted: AcceptedSocket): Verdict {
      const parsed = parseProxyHeader(bytes);
      if (parsed.kind === "more") return more;
      if (parsed.kind === "none" && mayBeMissing) {
        count.notFoundAllowed.inc();
        return { kind: "done", consumed: 0 };
      }
      if (parsed.kind === "header" && isAllowed(parsed.header.version)) {
        count.versions[parsed.header.version].found.inc();
        note(parsed.header, accepted);
        return { kind: "done", consumed: parsed.header.length };
      }
      count.refused(parsed);
      return { kind: "close", reason: "proxy_protocol_error" };
    },
  };
}

function createCounters(scope: Stats) {
  const ofVersion = (version: string) => ({
    found: scope.counter(`versions.${version}.found`),
    disallowed: scope.counter(`versions.${version}.disallowed`),
    error: scope.counter(`versions.${version}.error`),
  });
  const versions: Readonly<Record<1 | 2, Readonly<Record<"found" | "disallowed" | "error", Counter>>>> = {
    1: ofVersion("v1"),
    2: ofVersion("v2"),
  };
  const notFoundDisallowed = scope.counter("not_found_disallowed");
  return {
    versions,
    notFoundAllowed: scope.counter("not_found_allowed"),
    refused(parsed: ParsedProxyHeader): void {
      if (parsed.kind === "malformed") versions[parsed.version].error.inc();
      else if (parsed.kind === "header") versions[parsed.header.version].disallowed.inc();
      else notFoundDisallowed.inc();
    },
  };
}

/** What goes from the header into the connection. */
function compileNote(config: ProxyProtocol): (header: ProxyHeader, accepted: AcceptedSocket) => void {
  const rules = new Map((config.rules ?? []).map((rule) => [rule.tlv_type ?? 0, rule.on_tlv_present] as const));
  const passThrough = config.pass_through_tlvs;
  const passed = new Set(passThrough?.tlv_type ?? []);
  const isPassed = (type: number): boolean =>
    passThrough !== undefined && (passThrough.match_type !== "INCLUDE" || passed.has(type));
  return (header, accepted) => {
    for (const { type, value } of header.tlvs) {
      const pair = rules.get(type);
      if (pair === undefined) continue;
      const namespace = pair.metadata_namespace || ownNamespace;
      const entries = accepted.dynamicMetadata.get(namespace) ?? {};
      accepted.dynamicMetadata.set(namespace, {
        ...entries,
        [pair.key ?? ""]: Buffer.from(value).toString("utf8"),
      });
    }
    const state: ProxyProtocolState = { tlvs: header.tlvs.filter(({ type }) => isPassed(type)).map(copyTlv) };
    accepted.filterState.set(proxyProtocolState, { text: "", value: state });
    if (header.addresses === undefined) return;
    const { source, destination } = header.addresses;
    accepted.remoteAddress = source;
    const { localAddress } = accepted;
    if (destination.ip === localAddress.ip && destination.port === localAddress.port) return;
    accepted.localAddress = destination;
    accepted.isLocalAddressRestored = true;
  };
}

/** What was read may be part of a larger buffer, which must not live as long as the connection. */
function copyTlv({ type, value }: ProxyTlv): ProxyTlv {
  return { type, value: Uint8Array.from(value) };
}
