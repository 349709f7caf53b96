/** outlier_detection with Envoy's defaults in the places of what is not given; each may be overridden by the runtime. */

import { durationToMs } from "@meltemi/protos";
import type { OutlierDetection } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Runtime } from "../../config/runtime.ts";
import { ConfigError } from "../../lib/config-error.ts";
import { wrappedBool, wrappedNumber } from "../../lib/wrapped.ts";

const numbers = {
  consecutive_5xx: 5,
  consecutive_gateway_failure: 5,
  consecutive_local_origin_failure: 5,
  enforcing_consecutive_5xx: 100,
  enforcing_consecutive_gateway_failure: 0,
  enforcing_consecutive_local_origin_failure: 100,
  enforcing_success_rate: 100,
  enforcing_local_origin_success_rate: 100,
  enforcing_failure_percentage: 0,
  enforcing_failure_percentage_local_origin: 0,
  success_rate_minimum_hosts: 5,
  success_rate_request_volume: 100,
  success_rate_stdev_factor: 1900,
  failure_percentage_threshold: 85,
  failure_percentage_minimum_hosts: 5,
  failure_percentage_request_volume: 50,
  max_ejection_percent: 10,
} as const;

const percents = [
  "max_ejection_percent",
  "failure_percentage_threshold",
  "enforcing_consecutive_5xx",
  "enforcing_consecutive_gateway_failure",
  "enforcing_consecutive_local_origin_failure",
  "enforcing_success_rate",
  "enforcing_local_origin_success_rate",
  "enforcing_failure_percentage",
  "enforcing_failure_percentage_local_origin",
] as const;

export type OutlierNumber = keyof typeof numbers;

export interface OutlierConfig {
  /** The number as it is now. */
  get(name: OutlierNumber): number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly ejectionJitterMs: number;
  readonly isSplit: boolean;
  readonly alwaysEjectsOne: boolean;
  readonly isUnejectedByChecks: boolean;
}

const defaultMaxEjectionMs = 300_000;

/** Throws ConfigError. */
export function compileOutlierConfig(wire: OutlierDetection, runtime: Runtime): OutlierConfig {
  for (const name of percents) {
    if (wrappedNumber(wire[name], 0) > 100) throw new ConfigError(name, "must be at most 100");
  }
  if ((wire.monitors ?? []).length > 0) throw new ConfigError("monitors", "are not supported");
  const baseEjectionMs = durationToMs(wire.base_ejection_time) ?? 30_000;
  const maxEjectionMs = durationToMs(wire.max_ejection_time) ?? Math.max(defaultMaxEjectionMs, baseEjectionMs);
  if (maxEjectionMs < baseEjectionMs) {
    throw new ConfigError(
      "max_ejection_time",
      "outlier detector's max_ejection_time cannot be smaller than base_ejection_time",
    );
  }
  const intervalMs = durationToMs(wire.interval) ?? 10_000;
  if (intervalMs <= 0) throw new ConfigError("interval", "must be above 0");
  return {
    get(name) {
      const field = wire[name];
      return runtime.number(`outlier_detection.${name}`, wrappedNumber(field, numbers[name]));
    },
    intervalMs,
    baseEjectionMs,
    maxEjectionMs,
    ejectionJitterMs: durationToMs(wire.max_ejection_time_jitter) ?? 0,
    isSplit: wire.split_external_local_origin_errors ?? false,
    alwaysEjectsOne: wrappedBool(wire.always_eject_one_host, false),
    isUnejectedByChecks: wrappedBool(wire.successful_active_health_check_uneject_host, true),
  };
}
