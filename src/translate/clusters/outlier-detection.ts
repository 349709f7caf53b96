import { u32 } from "@meltemi/protos";
import type { OutlierDetection as WireOutlierDetection } from "@meltemi/protos/envoy/config/cluster/v3";
import type { OutlierDetection } from "../../api/destination-rule/schema.ts";
import { toOptionalDuration } from "../durations.ts";
import { positive } from "./connection-pool.ts";

const always = 100;

/**
 * Ejection by errors in a row. Envoy's statistics of success rates are off: with few endpoints they eject at random
 * (Istio: cluster_traffic_policy.go, applyOutlierDetection).
 */
export function buildOutlierDetection(settings: OutlierDetection): WireOutlierDetection {
  const { consecutive5xxErrors, consecutiveGatewayErrors } = settings;
  const maxEjectionPercent = positive(settings.maxEjectionPercent);
  const interval = toOptionalDuration(settings.interval);
  const baseEjectionTime = toOptionalDuration(settings.baseEjectionTime);
  return {
    enforcing_success_rate: u32(0),
    ...(consecutive5xxErrors === undefined
      ? {}
      : {
          consecutive_5xx: u32(consecutive5xxErrors),
          enforcing_consecutive_5xx: u32(consecutive5xxErrors > 0 ? always : 0),
        }),
    ...(consecutiveGatewayErrors === undefined
      ? {}
      : {
          consecutive_gateway_failure: u32(consecutiveGatewayErrors),
          enforcing_consecutive_gateway_failure: u32(consecutiveGatewayErrors > 0 ? always : 0),
        }),
    ...(interval === undefined ? {} : { interval }),
    ...(baseEjectionTime === undefined ? {} : { base_ejection_time: baseEjectionTime }),
    ...(maxEjectionPercent === undefined ? {} : { max_ejection_percent: u32(maxEjectionPercent) }),
    ...buildLocalOrigin(settings),
  };
}

function buildLocalOrigin(settings: OutlierDetection): WireOutlierDetection {
  if (settings.splitExternalLocalOriginErrors !== true) return {};
  const failures = positive(settings.consecutiveLocalOriginFailures);
  return {
    split_external_local_origin_errors: true,
    enforcing_local_origin_success_rate: u32(0),
    ...(failures === undefined
      ? {}
      : {
          consecutive_local_origin_failure: u32(failures),
          enforcing_consecutive_local_origin_failure: u32(always),
        }),
  };
}
