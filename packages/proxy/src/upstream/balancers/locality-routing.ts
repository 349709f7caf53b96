/**
 * Zone-aware routing: how much of the load stays in the proxy's own locality when it and its peers are spread over
 * localities in other parts than the hosts of the cluster (Envoy: "Zone aware routing"). Parts are of ten thousand.
 */
import type { HostSet } from "../hosts/host-set.ts";
import { formatLocality } from "../hosts/host-set.ts";
import { type BalancerEnv, randomBelow } from "./balancer.ts";

export type LocalityRouting =
  | { readonly kind: "none" }
  | { readonly kind: "direct" }
  | {
      readonly kind: "residual";
      readonly localPart: number;
      /** Sums of what each locality can take from elsewhere. */
      readonly residuals: readonly number[];
    };

const whole = 10_000;

/** `local`: hosts of the proxy's own cluster at priority 0. */
export function planLocalityRouting(
  set: HostSet,
  local: HostSet,
  { minClusterSize, env }: { readonly minClusterSize: number; readonly env: BalancerEnv },
): LocalityRouting {
  env.lbStats.lb_recalculate_zone_structures.inc();
  if (set.localities.length < 2) return { kind: "none" };
  if (set.healthy.length < minClusterSize) {
    env.lbStats.lb_zone_cluster_too_small.inc();
    return { kind: "none" };
  }
  const localParts = partsByLocality(local);
  const parts = set.localities.map(({ locality, healthy }) => ({
    upstream: set.healthy.length === 0 ? 0 : Math.floor((whole * healthy.length) / set.healthy.length),
    local: localParts.get(formatLocality(locality)) ?? 0,
  }));
  const [home] = parts;
  if (home !== undefined && set.hasLocalLocality && home.upstream > 0 && home.upstream >= home.local) {
    return { kind: "direct" };
  }
  const localPart =
    home !== undefined && set.hasLocalLocality && home.local > 0 ? Math.floor((home.upstream * whole) / home.local) : 0;
  let sum = 0;
  const residuals = parts.map((part) => {
    sum += Math.max(0, part.upstream - part.local);
    return sum;
  });
  return { kind: "residual", localPart, residuals };
}

/** The place of the locality that a request goes to. */
export function chooseLocality(
  routing: Exclude<LocalityRouting, { kind: "none" }>,
  { random, lbStats }: BalancerEnv,
): number {
  if (routing.kind === "direct") {
    lbStats.lb_zone_routing_all_directly.inc();
    return 0;
  }
  if (randomBelow(random, whole) < routing.localPart) {
    lbStats.lb_zone_routing_sampled.inc();
    return 0;
  }
  lbStats.lb_zone_routing_cross_zone.inc();
  const { residuals } = routing;
  const total = residuals.at(-1) ?? 0;
  if (total === 0) {
    lbStats.lb_zone_no_capacity_left.inc();
    return randomBelow(random, residuals.length);
  }
  const threshold = randomBelow(random, total);
  return residuals.findIndex((residual) => threshold < residual);
}

function partsByLocality(local: HostSet): ReadonlyMap<string, number> {
  const parts = new Map<string, number>();
  const total = local.healthy.length;
  for (const { locality, healthy } of local.localities) {
    parts.set(formatLocality(locality), total === 0 ? 0 : Math.floor((whole * healthy.length) / total));
  }
  return parts;
}
