/** What a tcp_proxy says, read and checked. */
import { durationToMs, structToJson } from "@meltemi/protos";
import type { Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { TcpProxy } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import type { HashPolicy } from "@meltemi/protos/envoy/type/v3";
import type { AccessLogger } from "../../access-log/types.ts";
import type { NetworkFilterEnv } from "../../config/env.ts";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { xxHash64 } from "../../upstream/hash/xx-hash.ts";
import { compileTunnel, type Tunnel } from "./tunnel.ts";

export interface TcpProxyPlan {
  readonly chooseCluster: (connection: DownstreamConnection) => ClusterChoice;
  readonly hashOf: (connection: DownstreamConnection) => bigint | undefined;
  /** Milliseconds; 0 for none, in all of these. */
  readonly idleTimeoutMs: number;
  readonly maxDurationMs: number;
  readonly logIntervalMs: number;
  readonly logsWhenConnected: boolean;
  readonly maxConnectAttempts: number;
  readonly tunnel: Tunnel | undefined;
  readonly accessLog: AccessLogger;
}

export interface ClusterChoice {
  readonly name: string;
  /** For "envoy.lb", without what filters noted for the connection. */
  readonly metadataMatch: Readonly<Record<string, unknown>> | undefined;
}

/** Other filters choose the cluster under this name in the filter state. */
export const clusterState = "envoy.tcp_proxy.cluster";

const defaultIdleTimeoutMs = 3_600_000;

/** Throws ConfigError. */
export function compileTcpProxyPlan(config: TcpProxy, env: NetworkFilterEnv): TcpProxyPlan {
  if (config.stat_prefix === undefined || config.stat_prefix === "") {
    throw new ConfigError("stat_prefix", "must not be empty");
  }
  if (config.on_demand !== undefined) throw new ConfigError("on_demand", "clusters on demand are not supported");
  const { tunneling_config: tunneling, access_log_options: logging } = config;
  const maxConnectAttempts = wrappedNumber(config.max_connect_attempts, 1);
  if (maxConnectAttempts < 1) throw new ConfigError("max_connect_attempts", "must be at least 1");
  return {
    chooseCluster: compileClusterChoice(config, env),
    hashOf: compileHash(config.hash_policy),
    idleTimeoutMs: durationToMs(config.idle_timeout) ?? defaultIdleTimeoutMs,
    maxDurationMs: durationToMs(config.max_downstream_connection_duration) ?? 0,
    logIntervalMs: durationToMs(logging?.access_log_flush_interval ?? config.access_log_flush_interval) ?? 0,
    logsWhenConnected: logging?.flush_access_log_on_connected ?? config.flush_access_log_on_connected ?? false,
    maxConnectAttempts,
    tunnel: tunneling && within("tunneling_config", () => compileTunnel(tunneling, env)),
    accessLog: within("access_log", () => env.accessLogs.compile(config.access_log)),
  };
}

function compileClusterChoice(config: TcpProxy, env: NetworkFilterEnv): TcpProxyPlan["chooseCluster"] {
  const common = lbMetadata(config.metadata_match);
  const choose = compileConfiguredChoice(config, common, env);
  return (connection) => {
    const chosen = connection.info.findFilterState(clusterState)?.text;
    return chosen === undefined || chosen === "" ? choose() : { name: chosen, metadataMatch: common };
  };
}

function compileConfiguredChoice(
  config: TcpProxy,
  common: ClusterChoice["metadataMatch"],
  { random }: NetworkFilterEnv,
): () => ClusterChoice {
  const { cluster, weighted_clusters: weighted } = config;
  if (weighted === undefined) {
    if (cluster === undefined || cluster === "") {
      throw new ConfigError("", "one of cluster, weighted_clusters is required");
    }
    const choice: ClusterChoice = { name: cluster, metadataMatch: common };
    return () => choice;
  }
  const clusters = compileAll("weighted_clusters.clusters", weighted.clusters, (each) => {
    const weight = each.weight ?? 0;
    if (weight < 1) throw new ConfigError("weight", "must be at least 1");
    const own = lbMetadata(each.metadata_match);
    const metadataMatch = own === undefined ? common : { ...common, ...own };
    return { weight, choice: { name: each.name ?? "", metadataMatch } };
  });
  if (clusters.length === 0) throw new ConfigError("weighted_clusters.clusters", "must not be empty");
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return () => {
    let point = Math.floor(random() * total);
    for (const { weight, choice } of clusters) {
      if (point < weight) return choice;
      point -= weight;
    }
    return { name: "", metadataMatch: undefined };
  };
}

function lbMetadata(metadata: Metadata | undefined): Readonly<Record<string, unknown>> | undefined {
  const struct = metadata?.filter_metadata?.["envoy.lb"];
  return struct === undefined ? undefined : structToJson(struct);
}

function compileHash(policies: readonly HashPolicy[] = []): TcpProxyPlan["hashOf"] {
  const [policy, second] = policies;
  if (second !== undefined) throw new ConfigError("hash_policy", "only one is allowed");
  if (policy?.source_ip !== undefined) return ({ remoteAddress }) => xxHash64(remoteAddress.ip);
  const key = policy?.filter_state?.key;
  if (key === undefined) return () => undefined;
  return ({ info }) => {
    const state = info.findFilterState(key);
    return state === undefined ? undefined : xxHash64(state.text);
  };
}
