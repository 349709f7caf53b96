/** Cross-origin rules of a route. Rules: Istio route.go TranslateCORSPolicy. */
import { bool } from "@meltemi/protos";
import type { CorsPolicy as CorsWire } from "@meltemi/protos/envoy/extensions/filters/http/cors/v3";
import type { CorsPolicy } from "../../api/virtual-service/schema.ts";
import { parseDuration } from "../../lib/duration.ts";
import { buildWholePercentage } from "./percentage.ts";
import { buildStringMatcher } from "./string-match.ts";

export const corsFilter = "envoy.filters.http.cors";

const everything = 100;
const msPerSecond = 1000;

export function buildCors(cors: CorsPolicy): CorsWire {
  const origins = (cors.allowOrigins ?? cors.allowOrigin?.map((exact) => ({ exact })) ?? []).map(buildStringMatcher);
  return {
    ...(origins.length === 0 ? {} : { allow_origin_string_match: origins }),
    ...joined("allow_methods", cors.allowMethods),
    ...joined("allow_headers", cors.allowHeaders),
    ...joined("expose_headers", cors.exposeHeaders),
    // The header takes whole seconds.
    ...(cors.maxAge === undefined
      ? {}
      : { max_age: String(Math.trunc((parseDuration(cors.maxAge) ?? 0) / msPerSecond)) }),
    ...(cors.allowCredentials === undefined ? {} : { allow_credentials: bool(cors.allowCredentials) }),
    filter_enabled: { default_value: buildWholePercentage(everything) },
    forward_not_matching_preflights: bool(cors.unmatchedPreflights !== "IGNORE"),
  };
}

function joined(
  field: "allow_methods" | "allow_headers" | "expose_headers",
  values: readonly string[] | undefined,
): Partial<CorsWire> {
  return values === undefined || values.length === 0 ? {} : { [field]: values.join(",") };
}
