/** When hosts are checked, and how often it takes to change one's health. Milliseconds. */

import { durationToMs } from "@meltemi/protos";
import type { HealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError, need } from "../../lib/config-error.ts";

export interface HealthTimes {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly healthyEdgeMs: number;
  readonly unhealthyMs: number;
  readonly unhealthyEdgeMs: number;
  readonly noTrafficMs: number;
  readonly noTrafficHealthyMs: number;
  readonly initialJitterMs: number;
  readonly jitterMs: number;
  readonly jitterPercent: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
}

const defaultNoTrafficMs = 60_000;

/** Throws ConfigError. */
export function compileHealthTimes(wire: HealthCheck): HealthTimes {
  const intervalMs = durationToMs(need("interval", wire.interval));
  const timeoutMs = durationToMs(need("timeout", wire.timeout));
  if (intervalMs <= 0) throw new ConfigError("interval", "must be above 0");
  if (timeoutMs <= 0) throw new ConfigError("timeout", "must be above 0");
  const unhealthyMs = durationToMs(wire.unhealthy_interval) || intervalMs;
  const noTrafficMs = durationToMs(wire.no_traffic_interval) || defaultNoTrafficMs;
  return {
    timeoutMs,
    intervalMs,
    healthyEdgeMs: durationToMs(wire.healthy_edge_interval) || intervalMs,
    unhealthyMs,
    unhealthyEdgeMs: durationToMs(wire.unhealthy_edge_interval) || unhealthyMs,
    noTrafficMs,
    noTrafficHealthyMs: durationToMs(wire.no_traffic_healthy_interval) || noTrafficMs,
    initialJitterMs: durationToMs(wire.initial_jitter) ?? 0,
    jitterMs: durationToMs(wire.interval_jitter) ?? 0,
    jitterPercent: wire.interval_jitter_percent ?? 0,
    healthyThreshold: need("healthy_threshold", wire.healthy_threshold).value ?? 0,
    unhealthyThreshold: need("unhealthy_threshold", wire.unhealthy_threshold).value ?? 0,
  };
}
