/** Statistics of active checks, "cluster.NAME.health_check.…". */
import type { Counter, Gauge, Stats } from "../../lib/stats.ts";

export interface HealthStats {
  readonly attempt: Counter;
  readonly success: Counter;
  readonly failure: Counter;
  readonly passiveFailure: Counter;
  readonly networkFailure: Counter;
  readonly verifyCluster: Counter;
  readonly healthy: Gauge;
  readonly degraded: Gauge;
}

export function findHealthStats(stats: Stats): HealthStats {
  const scope = stats.scope("health_check.");
  return {
    attempt: scope.counter("attempt"),
    success: scope.counter("success"),
    failure: scope.counter("failure"),
    passiveFailure: scope.counter("passive_failure"),
    networkFailure: scope.counter("network_failure"),
    verifyCluster: scope.counter("verify_cluster"),
    healthy: scope.gauge("healthy"),
    degraded: scope.gauge("degraded"),
  };
}
