/** Whether a request is traced: Envoy's decision, which the request id carries on to the next proxies. */

import type { HttpConnectionManager_Tracing } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { Percent } from "@meltemi/protos/envoy/type/v3";
import { traceReasonPlace } from "../access-log/traceable.ts";
import type { Runtime } from "../config/runtime.ts";
import type { HeaderList } from "../http/header-list.ts";
import { wrappedNumber } from "../lib/wrapped.ts";

const idPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const reasons = { none: "4", random: "9", forced: "a", client: "b" } as const;

export interface SamplingEnv {
  readonly runtime: Runtime;
  /** At least 0 and less than 1. */
  readonly random: () => number;
}

/** Decides by the headers of a request and writes the decision into its id. Without an id nothing is traced. */
export function compileSampling(
  wire: HttpConnectionManager_Tracing,
  { runtime, random }: SamplingEnv,
): (headers: HeaderList) => boolean {
  const isDrawn = (key: string, percent: Percent | undefined): (() => boolean) => {
    const fallback = wrappedNumber(percent, 100);
    return () => random() * 100 < runtime.number(key, fallback);
  };
  const isClientChosen = isDrawn("tracing.client_enabled", wire.client_sampling);
  const isRandomlyChosen = isDrawn("tracing.random_sampling", wire.random_sampling);
  const isLetThrough = isDrawn("tracing.global_enabled", wire.overall_sampling);
  const choose = (headers: HeaderList): string => {
    if (headers.has("x-client-trace-id") && isClientChosen()) return reasons.client;
    if (headers.has("x-envoy-force-trace")) return reasons.forced;
    return isRandomlyChosen() ? reasons.random : reasons.none;
  };
  return (headers) => {
    const id = headers.get("x-request-id");
    if (id === undefined || !idPattern.test(id)) return false;
    const before = id[traceReasonPlace];
    const isChosen = before === reasons.random || before === reasons.forced || before === reasons.client;
    const chosen = isChosen ? before : choose(headers);
    const final = chosen !== reasons.none && !isLetThrough() ? reasons.none : chosen;
    if (final !== before) {
      headers.set("x-request-id", id.slice(0, traceReasonPlace) + final + id.slice(traceReasonPlace + 1));
    }
    return final !== reasons.none;
  };
}
