/** Checks of load balancing, as istiod's webhook does them (validateLoadBalancer of Istio's pkg/config/validation). */
import type { Findings, Path } from "../findings.ts";
import { checkDuration, checkExactlyOne } from "../rules.ts";
import { checkWireDuration } from "../wire-duration.ts";
import type { ConsistentHash, LoadBalancer } from "./schema.ts";
import { checkLocality, checkZoneAware } from "./validate-locality.ts";

export interface LoadBalancerContext {
  readonly path: Path;
  /** Whether the same policy detects outliers: failover needs that to see that endpoints are unhealthy. */
  readonly hasOutlierDetection: boolean;
}

export function checkLoadBalancer(balancer: LoadBalancer, context: LoadBalancerContext, findings: Findings): void {
  const { path } = context;
  const { simple, consistentHash, localityLbSetting, zoneAwareLbSetting, warmup } = balancer;
  checkExactlyOne({ simple, consistentHash }, "may be none", { path, findings });
  checkExactlyOne({ localityLbSetting, zoneAwareLbSetting }, "may be none", { path, findings });
  if (consistentHash !== undefined) checkConsistentHash(consistentHash, [...path, "consistentHash"], findings);
  if (localityLbSetting !== undefined) checkLocality(localityLbSetting, [...path, "localityLbSetting"], findings);
  if (zoneAwareLbSetting !== undefined) checkZoneAware(zoneAwareLbSetting, [...path, "zoneAwareLbSetting"], findings);
  for (const field of ["localityLbSetting", "zoneAwareLbSetting"] as const) {
    const { failover = [], failoverPriority = [] } = balancer[field] ?? {};
    if (failover.length + failoverPriority.length > 0 && !context.hasOutlierDetection) {
      findings.warning([...path, field], "failover has no effect without outlierDetection", "no-effect");
    }
  }
  // Envoy refuses a negative window, and with it every cluster of the same response.
  checkDuration(balancer.warmupDurationSecs, { path: [...path, "warmupDurationSecs"], minMs: 0 }, findings);
  if (warmup !== undefined) checkWarmup(warmup, [...path, "warmup"], findings);
}

function checkWarmup(warmup: NonNullable<LoadBalancer["warmup"]>, path: Path, findings: Findings): void {
  checkWireDuration(warmup.duration, [...path, "duration"], findings);
  // Envoy refuses less than nothing.
  if (warmup.minimumPercent !== undefined && (warmup.minimumPercent < 0 || warmup.minimumPercent > 100)) {
    findings.error([...path, "minimumPercent"], "must be from 0 to 100", "out-of-range");
  }
  if (warmup.aggression !== undefined && warmup.aggression <= 0) {
    findings.error([...path, "aggression"], "must be greater than 0", "out-of-range");
  }
}

function checkConsistentHash(hash: ConsistentHash, path: Path, findings: Findings): void {
  const { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName, ringHash, maglev, minimumRingSize } = hash;
  const keys = { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName };
  checkExactlyOne(keys, "may be none", { path, findings });
  if (Object.values(keys).every((key) => key === undefined)) {
    findings.warning(path, `hashes nothing: none of ${Object.keys(keys).join(", ")} is set`, "no-effect");
  }
  checkExactlyOne({ ringHash, maglev }, "may be none", { path, findings });
  checkHashedNames(hash, path, findings);
  if (httpCookie !== undefined) checkCookie(httpCookie, [...path, "httpCookie"], findings);
  if (minimumRingSize !== undefined && minimumRingSize !== 0) {
    findings.warning([...path, "minimumRingSize"], "is deprecated, use ringHash", "deprecated");
    if (ringHash !== undefined || maglev !== undefined) {
      findings.error([...path, "minimumRingSize"], "cannot stand together with ringHash or maglev", "one-of");
    }
  }
  if (maglev === undefined) return;
  const { tableSize = 0 } = maglev;
  if (tableSize >= 5000011 || !isPrime(tableSize)) {
    findings.error([...path, "maglev", "tableSize"], "must be a prime number below 5000011", "out-of-range");
  }
}

/** Envoy refuses a route that hashes a header or parameter without a name, and a header's name that could end a line. */
function checkHashedNames(
  { httpHeaderName, httpQueryParameterName }: ConsistentHash,
  path: Path,
  findings: Findings,
): void {
  if (httpHeaderName === "") findings.error([...path, "httpHeaderName"], "must not be empty", "required");
  else if (/[\0\r\n]/.test(httpHeaderName ?? "")) {
    findings.error([...path, "httpHeaderName"], "must not have line breaks", "header");
  }
  if (httpQueryParameterName === "")
    findings.error([...path, "httpQueryParameterName"], "must not be empty", "required");
}

function checkCookie(cookie: NonNullable<ConsistentHash["httpCookie"]>, path: Path, findings: Findings): void {
  // Envoy refuses a negative lifetime.
  checkDuration(cookie.ttl, { path: [...path, "ttl"], minMs: 0 }, findings);
  const seen = new Set<string>();
  for (const [index, { name = "" }] of (cookie.attributes ?? []).entries()) {
    const at = [...path, "attributes", index, "name"];
    if (name === "") findings.error(at, "must not be empty", "required");
    else if (seen.has(name)) findings.error(at, `attribute "${name}" is given twice`, "duplicate");
    seen.add(name);
  }
}

/** Counts 1 as a prime number, as Envoy does. */
function isPrime(value: number): boolean {
  if (value < 1) return false;
  for (let divisor = 2; divisor * divisor <= value && divisor < 3000; divisor++)
    if (value % divisor === 0) return false;
  return true;
}
