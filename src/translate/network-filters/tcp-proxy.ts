/** Network filters of TCP chains (Istio: networking/core/networkfilter.go). */

import { duration, packAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { TcpProxy } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import { parseDuration } from "../../lib/duration.ts";
import type { Protocol } from "../../lib/protocol.ts";
import { buildSniForwardFilter } from "../dns/dynamic-forward.ts";
import type { L4Target } from "../tcp-routes/l4-target.ts";
import { buildTcpAccessLogs } from "../telemetry/access-log.ts";
import type { ProxyFacts } from "./filter-facts.ts";
import { buildEndingFilter, buildProtocolFilters } from "./protocol-filters.ts";

export interface TcpFilterOptions {
  readonly facts: ProxyFacts;
  /** Protocol of the port, for filters that understand it. */
  readonly protocol: Protocol;
  readonly target: L4Target;
  /** Filters before those of the protocol: metadata exchange on inbound chains. */
  readonly leading?: readonly Filter[];
}

const hashBySource = [{ source_ip: {} }] as const;

/** All network filters of a TCP chain: the leading ones, those of the application's protocol, the TCP proxy. */
export function buildTcpFilters({ facts, protocol, target, leading = [] }: TcpFilterOptions): readonly Filter[] {
  const ending = buildEndingFilter({ protocol, target, facts });
  if (ending !== undefined) return [...leading, ending];
  const logs = buildTcpAccessLogs(facts.mesh);
  const proxy: TcpProxy = {
    stat_prefix: target.statPrefix,
    ...buildClusters(target),
    ...buildTimeouts(target, facts.idleTimeoutMs),
    ...(target.hashesSourceIp ? { hash_policy: hashBySource } : {}),
    ...buildTunnel(target),
    ...(logs.length === 0 ? {} : { access_log: logs }),
  };
  const forward =
    target.forward === undefined ? [] : [buildSniForwardFilter(target.forward.cache, target.forward.port)];
  return [...leading, ...forward, ...buildProtocolFilters({ protocol, target, facts }), buildTcpProxy(proxy)];
}

/** A target that is a cluster and nothing else: for what no service or rule describes. */
export function plainTarget(cluster: string, statPrefix = cluster): L4Target {
  return {
    clusters: [{ name: cluster, weight: undefined }],
    statPrefix,
    idleTimeout: undefined,
    maxConnectionDuration: undefined,
    hashesSourceIp: false,
    tunnel: undefined,
  };
}

/** A TCP proxy without a log, for connections that are to go nowhere. */
export function buildDroppingFilter(cluster: string): Filter {
  return buildTcpProxy({ stat_prefix: cluster, cluster });
}

function buildTcpProxy(proxy: TcpProxy): Filter {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: packAny("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", proxy),
  };
}

function buildClusters({ clusters }: L4Target): TcpProxy {
  const [first] = clusters;
  if (first === undefined || first.weight === undefined) return { cluster: first?.name ?? "" };
  return { weighted_clusters: { clusters: clusters.map(({ name, weight = 0 }) => ({ name, weight })) } };
}

/** The rule of the destination comes before what the proxy asks for; Envoy's own hour where neither says anything. */
function buildTimeouts(target: L4Target, proxyIdleTimeoutMs: number | undefined): TcpProxy {
  const idleTimeoutMs = parseOptional(target.idleTimeout) ?? proxyIdleTimeoutMs;
  const longestMs = parseOptional(target.maxConnectionDuration);
  return {
    ...(idleTimeoutMs === undefined ? {} : { idle_timeout: duration(idleTimeoutMs) }),
    ...(longestMs === undefined ? {} : { max_downstream_connection_duration: duration(longestMs) }),
  };
}

function buildTunnel({ tunnel }: L4Target): TcpProxy {
  if (tunnel === undefined) return {};
  return { tunneling_config: { hostname: tunnel.hostname, ...(tunnel.usesPost ? { use_post: true } : {}) } };
}

function parseOptional(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDuration(text);
}
