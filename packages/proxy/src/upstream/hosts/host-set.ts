/** The hosts of one priority of a cluster, sorted by health and locality: a value that is built anew for each change. */
import type { Host } from "../types.ts";
import type { ClusterHost } from "./cluster-host.ts";

export interface HostGroup {
  readonly hosts: readonly ClusterHost[];
  readonly healthy: readonly ClusterHost[];
  readonly degraded: readonly ClusterHost[];
  /** How many do not count: see ClusterHost.isExcluded. */
  readonly excluded: number;
}

export interface HostLocality extends HostGroup {
  readonly locality: Host["locality"];
  /** Undefined where weights of localities do not count. */
  readonly weight: number | undefined;
}

export interface HostSet extends HostGroup {
  readonly priority: number;
  /** The proxy's own locality first where it is one of them, then by name. */
  readonly localities: readonly HostLocality[];
  readonly hasLocalLocality: boolean;
  /** Percent. */
  readonly overprovisioningFactor: number;
  readonly isHealthWeighted: boolean;
}

export interface HostSetPlan {
  readonly priority: number;
  readonly localities: readonly {
    readonly locality: Host["locality"];
    readonly weight: number;
    readonly hosts: readonly ClusterHost[];
  }[];
  readonly overprovisioningFactor: number;
  readonly isHealthWeighted: boolean;
  /** Where the proxy is. */
  readonly home: Host["locality"];
}

export function buildHostSet(plan: HostSetPlan): HostSet {
  const { home } = plan;
  const localities = plan.localities
    .map(({ locality, weight, hosts }) => ({ locality, weight, ...groupByHealth(hosts) }))
    .sort((one, other) => order(one.locality, other.locality, home));
  const [first] = localities;
  const hosts = localities.flatMap((each) => each.hosts);
  return {
    priority: plan.priority,
    localities,
    hasLocalLocality: first !== undefined && isNamed(home) && isSameLocality(first.locality, home),
    overprovisioningFactor: plan.overprovisioningFactor,
    isHealthWeighted: plan.isHealthWeighted,
    ...groupByHealth(hosts),
  };
}

/** The same set with the hosts for which `wants` is true. Localities without any stay, so that weights keep their places. */
export function filterHostSet(set: HostSet, wants: (host: ClusterHost) => boolean): HostSet {
  const localities = set.localities.map(({ locality, weight, hosts }) => ({
    locality,
    weight,
    ...groupByHealth(hosts.filter(wants)),
  }));
  return { ...set, localities, ...groupByHealth(localities.flatMap(({ hosts }) => hosts)) };
}

function groupByHealth(hosts: readonly ClusterHost[]): HostGroup {
  return {
    hosts,
    healthy: hosts.filter((host) => host.health === "healthy" && !host.isExcluded),
    degraded: hosts.filter((host) => host.health === "degraded" && !host.isExcluded),
    excluded: hosts.reduce((count, host) => (host.isExcluded ? count + 1 : count), 0),
  };
}

export function isSameLocality(one: Host["locality"], other: Host["locality"]): boolean {
  return one.region === other.region && one.zone === other.zone && one.sub_zone === other.sub_zone;
}

export function formatLocality({ region, zone, sub_zone }: Host["locality"]): string {
  return `${region}/${zone}/${sub_zone}`;
}

function isNamed({ region, zone, sub_zone }: Host["locality"]): boolean {
  return region !== "" || zone !== "" || sub_zone !== "";
}

function order(one: Host["locality"], other: Host["locality"], home: Host["locality"]): number {
  if (isNamed(home)) {
    const isOneHome = isSameLocality(one, home);
    if (isOneHome !== isSameLocality(other, home)) return isOneHome ? -1 : 1;
  }
  return compare(one.region, other.region) || compare(one.zone, other.zone) || compare(one.sub_zone, other.sub_zone);
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
