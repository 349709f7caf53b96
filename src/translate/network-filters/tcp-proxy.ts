/** Network filters of TCP chains (Istio: networking/core/networkfilter.go). */
import { duration, packAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { TcpProxy } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Protocol } from "../../model/protocol.ts";
import { buildAccessLogs } from "../telemetry/access-log.ts";
import type { ProxyFacts } from "./filter-facts.ts";
import { buildProtocolFilters } from "./protocol-filters.ts";

/** Where a TCP connection goes and how, as plain data. */
export interface TcpDestination {
  readonly statPrefix: string;
  /** Never empty. One cluster has no weight. */
  readonly clusters: readonly { readonly name: string; readonly weight: number }[];
  /** Milliseconds; what the proxy asks for where undefined. */
  readonly idleTimeoutMs?: number;
  /** Milliseconds after which a connection is closed even if it is used. */
  readonly maxConnectionMs?: number;
  /** Whether connections of one address go to one endpoint. */
  readonly hashesSourceAddress?: boolean;
  /** The HTTP tunnel that the connection goes through. */
  readonly tunnel?: { readonly target: string; readonly method: "CONNECT" | "POST" };
}

export interface TcpFilterOptions {
  readonly facts: ProxyFacts & { readonly mesh: MeshConfig };
  readonly protocol: Protocol;
  readonly destination: TcpDestination;
  /** Filters before those of the protocol: metadata exchange on inbound chains. */
  readonly leading?: readonly Filter[];
}

const hashBySource = [{ source_ip: {} }] as const;

/** All network filters of a TCP chain: the leading ones, those of the application's protocol, the TCP proxy. */
export function buildTcpFilters(options: TcpFilterOptions): readonly Filter[] {
  const { protocol, destination, facts } = options;
  const logs = buildAccessLogs(facts.mesh);
  const proxy: TcpProxy = {
    stat_prefix: destination.statPrefix,
    ...buildClusters(destination),
    ...buildTimeouts(destination, facts.idleTimeoutMs),
    ...(destination.hashesSourceAddress === true ? { hash_policy: hashBySource } : {}),
    ...buildTunnel(destination),
    ...(logs.length === 0 ? {} : { access_log: logs }),
  };
  return [...(options.leading ?? []), ...buildProtocolFilters({ protocol, destination, facts }), buildTcpProxy(proxy)];
}

/** A TCP proxy without a log: for what is dropped. */
export function buildDroppingFilter(cluster: string): Filter {
  return buildTcpProxy({ stat_prefix: cluster, cluster });
}

function buildTcpProxy(proxy: TcpProxy): Filter {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: packAny("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", proxy),
  };
}

function buildClusters({ clusters }: TcpDestination): TcpProxy {
  const [first, second] = clusters;
  return second === undefined ? { cluster: first?.name ?? "" } : { weighted_clusters: { clusters } };
}

function buildTimeouts(destination: TcpDestination, proxyIdleTimeoutMs: number | undefined): TcpProxy {
  const idleTimeoutMs = destination.idleTimeoutMs ?? proxyIdleTimeoutMs;
  const { maxConnectionMs } = destination;
  return {
    ...(idleTimeoutMs === undefined ? {} : { idle_timeout: duration(idleTimeoutMs) }),
    ...(maxConnectionMs === undefined ? {} : { max_downstream_connection_duration: duration(maxConnectionMs) }),
  };
}

function buildTunnel({ tunnel }: TcpDestination): TcpProxy {
  if (tunnel === undefined) return {};
  return {
    tunneling_config: { hostname: tunnel.target, ...(tunnel.method === "POST" ? { use_post: true } : {}) },
  };
}
