/**
 * Fields of clusters that this proxy does not have. Left aside without a word are those that change no answer:
 * track_cluster_stats and the like (statistics), lrs_server (load reports), preconnect_policy (when connections are made),
 * update_merge_window (how soon hosts are seen), happy_eyeballs_config (which of several addresses is tried first).
 */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { ConfigError } from "../lib/config-error.ts";

/** Throws ConfigError that names the field. */
export function checkCluster(cluster: Cluster): void {
  const [filter] = cluster.filters ?? [];
  if (filter !== undefined) {
    throw new ConfigError("filters[0]", `upstream network filters are not supported: ${filter.name ?? ""}`);
  }
  if (cluster.upstream_config !== undefined) {
    throw new ConfigError("upstream_config", `${cluster.upstream_config.name ?? ""} is not supported`);
  }
  if (cluster.connection_pool_per_downstream_connection) {
    throw new ConfigError("connection_pool_per_downstream_connection", "is not supported");
  }
  for (const [index, { alt_port }] of (cluster.health_checks ?? []).entries()) {
    if (alt_port !== undefined) throw new ConfigError(`health_checks[${index}].alt_port`, "is not supported");
  }
}
