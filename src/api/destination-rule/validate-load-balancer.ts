/** Checks of load balancing, with the rules of locality that the mesh configuration shares. */
import type { Findings, Path } from "../findings.ts";
import { checkDuration, checkExactlyOne, checkHeaderName } from "../rules.ts";
import type { ConsistentHash, LoadBalancer, LocalityLbSetting } from "./schema.ts";

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
  if (localityLbSetting !== undefined) {
    const at = [...path, "localityLbSetting"];
    checkLocality(localityLbSetting, at, findings);
    const failsOver = (localityLbSetting.failover ?? localityLbSetting.failoverPriority ?? []).length > 0;
    if (failsOver && !context.hasOutlierDetection) {
      findings.warning(at, "failover has no effect without outlierDetection", "no-effect");
    }
  }
  checkDuration(balancer.warmupDurationSecs, { path: [...path, "warmupDurationSecs"], minMs: 1 }, findings);
  if (warmup === undefined) return;
  checkDuration(warmup.duration, { path: [...path, "warmup", "duration"], minMs: 1 }, findings);
  if (warmup.minimumPercent !== undefined && (warmup.minimumPercent < 0 || warmup.minimumPercent > 100)) {
    findings.error([...path, "warmup", "minimumPercent"], "must be from 0 to 100", "out-of-range");
  }
  if (warmup.aggression !== undefined && warmup.aggression < 1) {
    findings.error([...path, "warmup", "aggression"], "must be at least 1", "out-of-range");
  }
}

/** Checks settings of balancing by locality: one of the ways, shares of 100 in all, regions without zones. */
export function checkLocality(setting: LocalityLbSetting, path: Path, findings: Findings): void {
  const hasFailover = [...(setting.failover ?? []), ...(setting.failoverPriority ?? [])].length > 0;
  if ((setting.distribute ?? []).length > 0 && hasFailover) {
    findings.error(path, "distribute cannot stand together with failover or failoverPriority", "one-of");
  }
  for (const [index, rule] of (setting.distribute ?? []).entries()) {
    const at = [...path, "distribute", index];
    const shares = Object.entries(rule.to ?? {});
    for (const [locality, share] of shares) {
      if (share < 1 || share > 100) findings.error([...at, "to", locality], "must be from 1 to 100", "out-of-range");
    }
    const sum = shares.reduce((total, [, share]) => total + share, 0);
    if (sum !== 100) findings.error([...at, "to"], `the shares add up to ${sum} and not to 100`, "weight");
    if ((rule.from ?? "") === "") findings.error([...at, "from"], "is required", "required");
  }
  checkFailover(setting, path, findings);
}

function checkFailover(setting: LocalityLbSetting, path: Path, findings: Findings): void {
  for (const [index, rule] of (setting.failover ?? []).entries()) {
    const at = [...path, "failover", index];
    if (rule.from !== undefined && rule.from === rule.to)
      findings.error(at, "from and to must be different regions", "locality");
    for (const side of ["from", "to"] as const) {
      if (/[/*]/.test(rule[side] ?? "")) findings.error([...at, side], "must be a region only", "locality");
    }
  }
}

function checkConsistentHash(hash: ConsistentHash, path: Path, findings: Findings): void {
  const { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName, ringHash, maglev } = hash;
  checkExactlyOne({ httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName }, "needs one", { path, findings });
  checkExactlyOne({ ringHash, maglev }, "may be none", { path, findings });
  if (httpHeaderName !== undefined) checkHeaderName(httpHeaderName, [...path, "httpHeaderName"], findings);
  checkDuration(httpCookie?.ttl, { path: [...path, "httpCookie", "ttl"], minMs: 0 }, findings);
  const size = maglev?.tableSize;
  if (size !== undefined && (!isPrime(size) || size > 5000011)) {
    findings.error([...path, "maglev", "tableSize"], "must be a prime number up to 5000011", "out-of-range");
  }
}

function isPrime(value: number): boolean {
  if (value < 2) return false;
  for (let divisor = 2; divisor * divisor <= value && divisor < 3000; divisor++)
    if (value % divisor === 0) return false;
  return true;
}
