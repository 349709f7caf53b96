/**
 * How much of the load each priority gets: those above fill those below as they fail, by Envoy's documentation of priority
 * levels, degraded endpoints and the panic threshold. Numbers are percents and whole.
 */
import type { HostSet } from "../hosts/host-set.ts";

export interface PriorityLoads {
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  /** Priorities that send to all of their hosts, well or not. */
  readonly isPanicking: readonly boolean[];
}

export interface PriorityChoice {
  readonly priority: number;
  readonly isDegraded: boolean;
}

/** `panicThreshold` in percent; 0 turns panic off. */
export function computeLoads(sets: readonly HostSet[], panicThreshold: number): PriorityLoads {
  const healthy = sets.map((set) => availability(set, "healthy"));
  const degraded = sets.map((set) => availability(set, "degraded"));
  const total = normalizedTotal(healthy, degraded);
  // Nobody to send to: the first priority, which has no host either, says so.
  if (total === 0 && panicThreshold === 0) return { ...onlyFirst(sets), isPanicking: sets.map(() => false) };
  const isPanicking = sets.map((set) => total !== 100 && isInPanic(set, panicThreshold));
  if (isPanicking.every(Boolean)) return { ...loadsByHosts(sets), isPanicking };
  return { ...distribute(healthy, degraded), isPanicking };
}

/**
 * Loads of a request that went to some priorities already: those get nothing, as long as another one has anything
 * (envoy.retry_priorities.previous_priorities).
 */
export function computeLoadsWithout(
  sets: readonly HostSet[],
  tried: readonly number[],
): Pick<PriorityLoads, "healthy" | "degraded"> | undefined {
  const without = (kind: "healthy" | "degraded"): number[] =>
    sets.map((set, priority) => (tried.includes(priority) ? 0 : availability(set, kind)));
  const healthy = without("healthy");
  const degraded = without("degraded");
  return normalizedTotal(healthy, degraded) === 0 ? undefined : distribute(healthy, degraded);
}

/** `dice` is at least 0 and less than 100. */
export function pickPriority(loads: Pick<PriorityLoads, "healthy" | "degraded">, dice: number): PriorityChoice {
  let sum = 0;
  for (let priority = 0; priority < loads.healthy.length; priority += 1) {
    sum += loads.healthy[priority] ?? 0;
    if (dice < sum) return { priority, isDegraded: false };
  }
  for (let priority = 0; priority < loads.degraded.length; priority += 1) {
    sum += loads.degraded[priority] ?? 0;
    if (dice < sum) return { priority, isDegraded: true };
  }
  return { priority: 0, isDegraded: false };
}

export function isInPanic(set: HostSet, panicThreshold: number): boolean {
  const count = set.hosts.length - set.excluded;
  const available = count === 0 ? 0 : (100 * (set.healthy.length + set.degraded.length)) / count;
  return available < Math.min(100, panicThreshold);
}

/** What a priority could take, in percent of what it is asked for. */
function availability(set: HostSet, kind: "healthy" | "degraded"): number {
  const all = set.isHealthWeighted ? sumWeights(set.hosts.filter((host) => !host.isExcluded)) : countOf(set);
  if (all === 0) return 0;
  const able = set.isHealthWeighted ? sumWeights(set[kind]) : set[kind].length;
  return Math.min(100, Math.floor((set.overprovisioningFactor * able) / all));
}

function countOf(set: HostSet): number {
  return set.hosts.length - set.excluded;
}

function sumWeights(hosts: HostSet["hosts"]): number {
  return hosts.reduce((sum, { weight }) => sum + weight, 0);
}

function normalizedTotal(healthy: readonly number[], degraded: readonly number[]): number {
  const sum = (list: readonly number[]): number => list.reduce((all, each) => all + each, 0);
  return Math.min(100, sum(healthy) + sum(degraded));
}

function distribute(healthy: readonly number[], degraded: readonly number[]): Omit<PriorityLoads, "isPanicking"> {
  const total = normalizedTotal(healthy, degraded);
  let left = 100;
  const share = (able: number): number => {
    const load = Math.min(left, Math.floor((able * 100) / total));
    left -= load;
    return load;
  };
  const healthyLoads = healthy.map(share);
  const degradedLoads = degraded.map(share);
  // What rounding left over goes to the first that has anything.
  const firstHealthy = healthy.findIndex((able) => able > 0);
  const loads = firstHealthy >= 0 ? healthyLoads : degradedLoads;
  const first = firstHealthy >= 0 ? firstHealthy : degraded.findIndex((able) => able > 0);
  if (first >= 0) loads[first] = (loads[first] ?? 0) + left;
  return { healthy: healthyLoads, degraded: degradedLoads };
}

function onlyFirst(sets: readonly HostSet[]): Omit<PriorityLoads, "isPanicking"> {
  return { healthy: sets.map((_, priority) => (priority === 0 ? 100 : 0)), degraded: sets.map(() => 0) };
}

/** All priorities are in panic: each gets the part that its hosts are of all hosts. */
function loadsByHosts(sets: readonly HostSet[]): Omit<PriorityLoads, "isPanicking"> {
  const total = sets.reduce((sum, { hosts }) => sum + hosts.length, 0);
  if (total === 0) return onlyFirst(sets);
  const healthy = sets.map(({ hosts }) => Math.floor((100 * hosts.length) / total));
  const first = sets.findIndex(({ hosts }) => hosts.length > 0);
  const rest = 100 - healthy.reduce((sum, each) => sum + each, 0);
  healthy[first] = (healthy[first] ?? 0) + rest;
  return { healthy, degraded: sets.map(() => 0) };
}
