/** Hosts and environments for tests of balancers. */
import type { Runtime } from "../../config/runtime.ts";
import type { Clock } from "../../lib/clock.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import type { StatsRegistry } from "../../lib/stats-registry.ts";
import type { BalancerEnv } from "../balancers/balancer.ts";
import { findBalancerStats } from "../balancers/balancer-stats.ts";
import { ClusterHost } from "../hosts/cluster-host.ts";
import { type EndpointPlan, placeOf } from "../hosts/endpoint-plan.ts";
import { buildHostSet, type HostSet } from "../hosts/host-set.ts";

export const nowhere = { region: "", zone: "", sub_zone: "" };

export interface TestHost {
  readonly port: number;
  readonly weight?: number;
  readonly status?: EndpointPlan["status"];
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly hostname?: string;
}

export function hostOf({ port, weight = 1, status = "HEALTHY", metadata = {}, hostname = "" }: TestHost): ClusterHost {
  const plan: EndpointPlan = {
    ...placeOf("127.0.0.1", port),
    ...{ hostname, weight, status, metadata },
    ...{ locality: nowhere, priority: 0, endpoint: {}, checkPort: 0, checkIp: undefined, isCheckDisabled: false },
  };
  return new ClusterHost(plan, 0);
}

/** A priority with hosts that are well or not: `healthy`, `degraded`, `unhealthy` and `draining` of them. */
export function prioritySet(
  priority: number,
  counts: { healthy?: number; degraded?: number; unhealthy?: number; draining?: number },
): HostSet {
  const hosts = [
    ...Array.from({ length: counts.healthy ?? 0 }, (_, index) => hostOf({ port: 1 + index })),
    ...Array.from({ length: counts.degraded ?? 0 }, (_, index) => hostOf({ port: 100 + index, status: "DEGRADED" })),
    ...Array.from({ length: counts.unhealthy ?? 0 }, (_, index) => hostOf({ port: 200 + index, status: "UNHEALTHY" })),
    ...Array.from({ length: counts.draining ?? 0 }, (_, index) => hostOf({ port: 300 + index, status: "DRAINING" })),
  ];
  return setOf(hosts, priority);
}

export function setOf(hosts: readonly ClusterHost[], priority = 0): HostSet {
  return localitySet([{ zone: "", weight: 1, hosts }], { priority });
}

export interface TestLocality {
  readonly zone: string;
  readonly weight: number;
  readonly hosts: readonly ClusterHost[];
}

export function localitySet(
  localities: readonly TestLocality[],
  { priority = 0, home = "" }: { readonly priority?: number; readonly home?: string } = {},
): HostSet {
  return buildHostSet({
    priority,
    localities: localities.map(({ zone, weight, hosts }) => ({ locality: { ...nowhere, zone }, weight, hosts })),
    overprovisioningFactor: 140,
    isHealthWeighted: false,
    home: { ...nowhere, zone: home },
  });
}

export const quietRuntime: Runtime = {
  number: (_, otherwise) => otherwise,
  flag: (_, otherwise) => otherwise,
  isChosen: () => false,
  entries: () => new Map(),
};

/** Numbers between 0 and 1 in an order that the seed decides. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function balancerEnv(overrides: Partial<BalancerEnv> = {}): BalancerEnv & { readonly registry: StatsRegistry } {
  const registry = createStatsRegistry();
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: () => ({ close: () => undefined }),
    every: () => ({ close: () => undefined }),
  };
  return {
    ...{ clock, registry, stats: registry, runtime: quietRuntime },
    random: seededRandom(1),
    lbStats: findBalancerStats(registry),
    activeRequests: () => 0,
    localHosts: () => undefined,
    ...overrides,
  };
}

/** How often each port is chosen. */
export function tally(count: number, choose: () => ClusterHost | undefined): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (let each = 0; each < count; each += 1) {
    const port = choose()?.port ?? 0;
    counts.set(port, (counts.get(port) ?? 0) + 1);
  }
  return counts;
}
