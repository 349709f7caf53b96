/** How a cluster chooses an endpoint (Istio: cluster_traffic_policy.go, applyLoadBalancer). */

import { u64 } from "@meltemi/protos";
import type { Cluster, Cluster_LbPolicy, Cluster_SlowStartConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ConsistentHash, LoadBalancer } from "../../api/destination-rule/schema.ts";
import { toOptionalDuration } from "../durations.ts";

const defaultRingSize = 1024;
// Envoy refuses a cluster with a larger ring, and with it every other of the same response.
const largestRingSize = 8_388_608;
const defaultWarmupPercent = 10;

export type LoadBalancing = Pick<
  Cluster,
  "lb_policy" | "least_request_lb_config" | "round_robin_lb_config" | "ring_hash_lb_config" | "maglev_lb_config"
>;

/** True where connections go to the address that the client asked for, whatever the endpoints are. */
export function isPassthroughBalancer(settings: LoadBalancer | undefined): boolean {
  return settings?.simple === "PASSTHROUGH";
}

/** Fields of the balancer; the caller has handled PASSTHROUGH, where there is nothing to choose. */
export function buildLoadBalancing(settings: LoadBalancer | undefined): LoadBalancing {
  if (settings?.consistentHash !== undefined) {
    const hashing = buildHashing(settings.consistentHash);
    const slowStart = buildSlowStart(settings);
    // Istio leaves the configuration of the default balancer in place where hashing has none of its own; Envoy skips it.
    if (slowStart === undefined || "maglev_lb_config" in hashing || "ring_hash_lb_config" in hashing) return hashing;
    return { ...hashing, least_request_lb_config: { slow_start_config: slowStart } };
  }
  switch (settings?.simple) {
    case "RANDOM":
      return { lb_policy: "RANDOM" };
    case "ROUND_ROBIN": {
      const slowStart = buildSlowStart(settings);
      const config = slowStart === undefined ? {} : { round_robin_lb_config: { slow_start_config: slowStart } };
      return { lb_policy: "ROUND_ROBIN", ...config };
    }
    default: {
      const slowStart = buildSlowStart(settings);
      const config = slowStart === undefined ? {} : { least_request_lb_config: { slow_start_config: slowStart } };
      return { lb_policy: "LEAST_REQUEST", ...config };
    }
  }
}

export const providedByCluster: { readonly lb_policy: Cluster_LbPolicy } = { lb_policy: "CLUSTER_PROVIDED" };

function buildSlowStart(settings: LoadBalancer | undefined): Cluster_SlowStartConfig | undefined {
  if (settings?.warmup !== undefined) {
    const { warmup } = settings;
    const percent = warmup.minimumPercent ?? defaultWarmupPercent;
    return {
      slow_start_window: toOptionalDuration(warmup.duration),
      // Envoy wants a runtime key; Istio gives one that nobody can set.
      aggression: { default_value: warmup.aggression ?? 1, runtime_key: "(" },
      min_weight_percent: percent === 0 ? {} : { value: percent },
    };
  }
  const window = toOptionalDuration(settings?.warmupDurationSecs);
  return window === undefined ? undefined : { slow_start_window: window };
}

function buildHashing({ maglev, ringHash, minimumRingSize = 0 }: ConsistentHash): LoadBalancing {
  if (maglev !== undefined) {
    const { tableSize = 0 } = maglev;
    return { lb_policy: "MAGLEV", ...(tableSize === 0 ? {} : { maglev_lb_config: { table_size: u64(tableSize) } }) };
  }
  if (ringHash !== undefined) {
    const { minimumRingSize: size = 0 } = ringHash;
    return { lb_policy: "RING_HASH", ...(size === 0 ? {} : { ring_hash_lb_config: buildRing(size) }) };
  }
  const size = minimumRingSize === 0 ? defaultRingSize : minimumRingSize;
  return { lb_policy: "RING_HASH", ring_hash_lb_config: buildRing(size) };
}

function buildRing(size: number | string): NonNullable<Cluster["ring_hash_lb_config"]> {
  return { minimum_ring_size: u64(Math.min(Number(size), largestRingSize)) };
}
