/** Statistics of load balancing, looked up once for a cluster. */
import type { Counter, Gauge, StatNames, Stats } from "../../lib/stats.ts";

const counters = [
  "lb_healthy_panic",
  "lb_local_cluster_not_ok",
  "lb_recalculate_zone_structures",
  "lb_subsets_created",
  "lb_subsets_fallback",
  "lb_subsets_fallback_panic",
  "lb_subsets_removed",
  "lb_subsets_selected",
  "lb_zone_cluster_too_small",
  "lb_zone_no_capacity_left",
  "lb_zone_routing_all_directly",
  "lb_zone_routing_cross_zone",
  "lb_zone_routing_sampled",
] as const;

export type BalancerStats = Readonly<Record<(typeof counters)[number], Counter>> & {
  readonly lb_subsets_active: Gauge;
};

/** What a cluster shows from the start. */
export const balancerStatNames: StatNames = { counters, gauges: ["lb_subsets_active"] };

export function findBalancerStats(stats: Stats): BalancerStats {
  const found = Object.fromEntries(counters.map((name) => [name, stats.counter(name)])) as Record<
    (typeof counters)[number],
    Counter
  >;
  return {
    ...found,
    lb_subsets_active: stats.gauge("lb_subsets_active"),
  };
}
