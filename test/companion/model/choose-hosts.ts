/** Which hosts of a cluster may get a request: subsets, priorities, health and panic, as Envoy's load balancers see them. */
import type { ClusterSpec, EndpointSpec, Version } from "./world.ts";

/** Names of upstreams; none where there is no healthy one. */
export function listHosts(cluster: ClusterSpec, version: Version | undefined): ReadonlySet<string> {
  const endpoints = chooseSubset(cluster, version);
  const priorities = ([0, 1] as const).map((priority) =>
    endpoints.filter((endpoint) => endpoint.priority === priority),
  );
  const shares = priorities.map(shareOf);
  const total = shares.reduce((sum, share) => sum + share, 0);
  const isPanic = (index: number): boolean => total < 100 && isInPanic(priorities[index] ?? [], cluster.panicThreshold);
  if (total === 0 && cluster.panicThreshold === 0) return new Set();
  // Where no priority has enough, the hosts that there are get requests, well or not.
  const isTotalPanic = priorities.every((_hosts, index) => isPanic(index));
  const chosen = priorities.flatMap((hosts, index) => {
    const isUsed = isTotalPanic || (total === 0 ? index === 0 : loadOf(shares, total, index) > 0);
    if (!isUsed) return [];
    return isPanic(index) ? hosts : hosts.filter(({ health }) => health === "HEALTHY");
  });
  return new Set(chosen.map(({ upstream }) => upstream));
}

function chooseSubset({ endpoints, fallback }: ClusterSpec, version: Version | undefined): readonly EndpointSpec[] {
  if (fallback === undefined) return endpoints;
  const own = version === undefined ? [] : endpoints.filter((endpoint) => endpoint.version === version);
  if (own.length > 0 || fallback === "none") return own;
  return fallback === "any" ? endpoints : endpoints.filter((endpoint) => endpoint.version === fallback);
}

/** Percent of all load that a priority can take: 140 where all of its hosts are healthy, cut at 100. */
function shareOf(hosts: readonly EndpointSpec[]): number {
  if (hosts.length === 0) return 0;
  const healthy = hosts.filter(({ health }) => health === "HEALTHY").length;
  return Math.min(100, Math.floor((140 * healthy) / hosts.length));
}

/** What a priority gets when those before it have taken theirs. */
function loadOf(shares: readonly number[], total: number, index: number): number {
  const normalized = shares.map((share) => (total >= 100 ? share : Math.floor((share * 100) / total)));
  const before = normalized.slice(0, index).reduce((sum, share) => sum + share, 0);
  return Math.min(normalized[index] ?? 0, Math.max(0, 100 - before));
}

function isInPanic(hosts: readonly EndpointSpec[], threshold: number): boolean {
  if (hosts.length === 0) return threshold > 0;
  const healthy = hosts.filter(({ health }) => health === "HEALTHY").length;
  return (healthy * 100) / hosts.length < threshold;
}
