/** A connection on a chain that ends in a TCP proxy or the Redis proxy. */
import { unpackAs } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { TcpProxy } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import type { PlannedCall } from "./call.ts";
import { describeCluster } from "./cluster.ts";
import type { Accepted, TcpForwarded, Tunnel } from "./outcome.ts";
import type { ProxyResources } from "./resources.ts";
import { pickByWeight } from "./route-action.ts";
import type { Note } from "./trace.ts";

/** Where a terminal filter for bytes sends them. */
interface Target {
  readonly cluster: string;
  readonly clusters?: { readonly [name: string]: number };
  readonly tunnel?: Tunnel;
}

export interface TcpContext {
  readonly resources: ProxyResources;
  readonly call: PlannedCall;
  readonly accepted: Accepted;
  readonly note: Note;
}

/** Reads a terminal filter that forwards bytes; undefined where the filter is no such one. */
export function findTcpTarget(filter: Filter, context: TcpContext): Target | undefined {
  const config = filter.typed_config;
  if (config === undefined) return undefined;
  const redis = unpackAs("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy", config);
  if (redis !== undefined) return { cluster: redis.prefix_routes?.catch_all_route?.cluster ?? "" };
  const proxy = unpackAs("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", config);
  return proxy === undefined ? undefined : readTcpProxy(proxy, context);
}

/** Bytes go on; a cluster that is unknown or empty is flagged. */
export function forwardBytes(target: Target, { resources, accepted, note }: TcpContext): TcpForwarded {
  note(`cluster: ${target.cluster}`);
  return { result: "tcp", ...accepted, ...describeCluster(resources, target.cluster), ...target };
}

function readTcpProxy(proxy: TcpProxy, { call, accepted }: TcpContext): Target {
  const { tunneling_config: tunneling } = proxy;
  const tunnel: Pick<Target, "tunnel"> =
    tunneling === undefined
      ? {}
      : { tunnel: { hostname: tunneling.hostname ?? "", method: tunneling.use_post === true ? "POST" : "CONNECT" } };
  // sni_cluster names the cluster after the server name, before the TCP proxy looks at its own.
  if (accepted.filters.includes("envoy.filters.network.sni_cluster") && call.tls?.sni)
    return { cluster: call.tls.sni, ...tunnel };
  const list = proxy.weighted_clusters?.clusters;
  if (list === undefined) return { cluster: proxy.cluster ?? "", ...tunnel };
  const picked = pickByWeight(list, ({ weight }) => weight ?? 0, call.sample);
  const clusters = Object.fromEntries(list.map(({ name, weight }) => [name ?? "", weight ?? 0]));
  return { cluster: picked?.name ?? "", clusters, ...tunnel };
}
