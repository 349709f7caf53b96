/** Injected faults of a route. Rules: Istio route.go TranslateFault. */

import type { FaultAbort, HTTPFault } from "@meltemi/protos/envoy/extensions/filters/http/fault/v3";
import type { HttpFault } from "../../api/virtual-service/schema.ts";
import { parseGrpcStatus } from "../../lib/grpc-status.ts";
import { toDuration } from "../durations.ts";
import { buildPercentage, buildWholePercentage } from "./percentage.ts";

export const faultFilter = "envoy.filters.http.fault";

/** The filter's configuration for a route; empty where nothing that Envoy can do is asked for, as Istio sends it. */
export function buildFault(fault: HttpFault): HTTPFault {
  const delay = buildDelay(fault.delay);
  const abort = buildAbort(fault.abort);
  return { ...(delay === undefined ? {} : { delay }), ...(abort === undefined ? {} : { abort }) };
}

function buildDelay(delay: HttpFault["delay"]): HTTPFault["delay"] {
  if (delay?.fixedDelay === undefined) return undefined;
  const percentage =
    delay.percentage === undefined ? buildWholePercentage(delay.percent ?? 0) : buildPercentage(delay.percentage);
  return { fixed_delay: toDuration(delay.fixedDelay), percentage };
}

function buildAbort(abort: HttpFault["abort"]): FaultAbort | undefined {
  if (abort === undefined) return undefined;
  const percentage = abort.percentage === undefined ? {} : { percentage: buildPercentage(abort.percentage) };
  if (abort.httpStatus !== undefined) return { http_status: abort.httpStatus, ...percentage };
  if (abort.grpcStatus === undefined) return undefined;
  const status = parseGrpcStatus(abort.grpcStatus);
  return status === undefined ? undefined : { grpc_status: status, ...percentage };
}
