/** A new host, or one that has just become well, gets less than its weight for a while, so that it can warm up. */

import { durationToMs } from "@meltemi/protos";
import type { Cluster_SlowStartConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import { ConfigError } from "../../lib/config-error.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { BalancerEnv } from "./balancer.ts";

export interface SlowStart {
  /** Between 0 and 1: the part of its weight that a host has now. */
  factor(host: ClusterHost): number;
  isAny(hosts: readonly ClusterHost[]): boolean;
}

export type CreateSlowStart = (env: BalancerEnv) => SlowStart;

/** Undefined where slow start is off. */
export function compileSlowStart(wire: Cluster_SlowStartConfig | undefined): CreateSlowStart | undefined {
  const windowMs = durationToMs(wire?.slow_start_window) ?? 0;
  if (windowMs <= 0) return undefined;
  const { default_value: aggressionDefault = 0, runtime_key: key = "" } = wire?.aggression ?? { default_value: 1 };
  if (aggressionDefault <= 0) throw new ConfigError("slow_start_config.aggression", "must be above 0");
  const least = (wire?.min_weight_percent ? (wire.min_weight_percent.value ?? 0) : 10) / 100;
  return ({ clock, runtime }) => {
    const isWarming = (host: ClusterHost, now: number): boolean =>
      host.health === "healthy" && now - host.warmSince < windowMs;
    return {
      factor(host) {
        const now = clock.monotonic();
        if (!isWarming(host, now)) return 1;
        const aggression = key === "" ? aggressionDefault : runtime.number(key, aggressionDefault);
        const part = Math.max(1, now - host.warmSince) / windowMs;
        return Math.max(part ** (1 / aggression), least, Number.EPSILON);
      },
      isAny(hosts) {
        const now = clock.monotonic();
        return hosts.some((host) => isWarming(host, now));
      },
    };
  };
}
