/**
 * Weights and priorities of localities as the caller sees them (Istio: core/loadbalancer; Envoy: priority levels and
 * locality weighted load balancing).
 */
import type { LocalityLbSetting, ZoneAwareLbSetting } from "../../api/destination-rule/schema.ts";
import type { Labels } from "../../api/object.ts";
import { findOwn } from "../../lib/find-own.ts";
import { type Endpoint, type Locality, parseLocality } from "../../model/endpoint.ts";
import { type LocalityGroup, type Member, sumWeights } from "./locality-groups.ts";
import { type LocalityRule, topologyLabels } from "./locality-setting.ts";

type Failover = NonNullable<LocalityLbSetting["failover"]>;
type Distribute = NonNullable<LocalityLbSetting["distribute"]>[number];

/** What rules compare endpoints with. */
export interface Caller {
  /** False for subsets whose endpoints stand in the cluster: there Istio knows only their addresses any more. */
  readonly comparesLabels: boolean;
  readonly locality: Locality;
  readonly network: string;
  readonly clusterId: string;
  readonly nodeName: string;
  readonly labels: Labels;
}

/** Outcomes of failover by region: 0 all parts equal … 3 another region, 4 one that is not the region to fail over to. */
const regionLevels = 5;

export function balanceLocalities(
  groups: readonly LocalityGroup[],
  rule: LocalityRule,
  caller: Caller,
): readonly LocalityGroup[] {
  if (rule.kind === "zoneAware") return balanceZones(groups, rule.setting, caller);
  const { distribute = [], failover = [], failoverPriority = [] } = rule.setting;
  if (distribute.length > 0) {
    const share = distribute.find(({ from = "" }) => matchesLocality(caller.locality, from));
    return share === undefined ? groups : distributeWeights(groups, share);
  }
  if (!rule.failsOver) return groups;
  if (failoverPriority.length === 0) return failOverByRegion(groups, failover, caller);
  const ranked = caller.comparesLabels ? rankByLabels(groups, failoverPriority, caller) : groups;
  return failover.length === 0 ? ranked : failOverByRegion(ranked, failover, caller);
}

/** Outcomes of failover between regions alone: the own region, the one to fail over to, any other. */
const regionOnlyLevels = 3;

/** All of the own region comes first, so that the proxy itself may balance between its zones. */
function balanceZones(
  groups: readonly LocalityGroup[],
  { enabled = true, failover = [], failoverPriority = [] }: ZoneAwareLbSetting,
  caller: Caller,
): readonly LocalityGroup[] {
  if (!enabled) return groups;
  const isRanked = failoverPriority.length > 0 && caller.comparesLabels;
  const ranked = isRanked ? rankByLabels(groups, failoverPriority, caller) : groups;
  const { region } = caller.locality;
  const target = failover.find(({ from = "" }) => from === region);
  return closeGaps(
    ranked.map((group) => {
      const isTarget = target !== undefined && group.locality.region === (target.to ?? "");
      const level = isTarget ? 1 : 2;
      return { ...group, priority: group.priority * regionOnlyLevels + (group.locality.region === region ? 0 : level) };
    }),
  );
}

/** Localities that match no target get nothing; one share among several localities is split by their weights. */
function distributeWeights(groups: readonly LocalityGroup[], { to = {} }: Distribute): readonly LocalityGroup[] {
  const weights = new Map<LocalityGroup, number>();
  const taken = new Set<LocalityGroup>();
  for (const [pattern, share] of Object.entries(to)) {
    const matching = groups.filter((group) => !taken.has(group) && matchesLocality(group.locality, pattern));
    const total = matching.reduce((sum, group) => sum + (group.weight ?? 1), 0);
    for (const group of matching) {
      taken.add(group);
      const weight = Math.ceil(((group.weight ?? 1) * share) / total);
      if (weight > 0) weights.set(group, weight);
    }
  }
  return groups.map((group) =>
    taken.has(group) ? { ...group, weight: weights.get(group) ?? group.weight } : { ...group, members: [] },
  );
}

function failOverByRegion(
  groups: readonly LocalityGroup[],
  failover: Failover,
  { locality }: Caller,
): readonly LocalityGroup[] {
  const target = failover.find(({ from = "" }) => from === locality.region);
  return closeGaps(
    groups.map((group) => {
      const distance = measureDistance(locality, group.locality);
      const missesTarget = distance === 3 && target !== undefined && group.locality.region !== (target.to ?? "");
      return { ...group, priority: group.priority * regionLevels + (missesTarget ? distance + 1 : distance) };
    }),
  );
}

/**
 * Splits groups by how many of the leading labels an endpoint shares with the caller; all of them is the best. Where the
 * network leads, the rest is compared in other networks as well: these come after everything of the own one.
 */
function rankByLabels(
  groups: readonly LocalityGroup[],
  priorities: readonly string[],
  caller: Caller,
): readonly LocalityGroup[] {
  const wanted = priorities.map((entry) => {
    const [label = "", value, ...others] = entry.split("=");
    return { label, value: value !== undefined && others.length === 0 ? value : findCallerLabel(caller, label) };
  });
  const matches = (endpoint: Endpoint, { label, value }: (typeof wanted)[number]): boolean =>
    findEndpointLabel(endpoint, label) === value;
  const leading = priorities[0] === topologyLabels.network ? wanted[0] : undefined;
  const split = groups.flatMap((group) => {
    const byRank = new Map<number, Member[]>();
    for (const member of group.members) {
      const isElsewhere = leading !== undefined && !matches(member.endpoint, leading);
      const miss = wanted.findIndex((one) => one !== leading && !matches(member.endpoint, one));
      const rank = (miss < 0 ? 0 : wanted.length - miss) + (isElsewhere ? wanted.length : 0);
      byRank.set(rank, [...(byRank.get(rank) ?? []), member]);
    }
    return [...byRank.entries()]
      .sort(([a], [b]) => a - b)
      .map(([priority, members]) => ({ ...group, members, weight: sumWeights(members), priority }));
  });
  return closeGaps(split);
}

/** Envoy wants priorities from 0 without gaps. */
function closeGaps(groups: readonly LocalityGroup[]): readonly LocalityGroup[] {
  const levels = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: levels.indexOf(group.priority) }));
}

/** 0: same subzone, 1: same zone, 2: same region, 3: elsewhere. */
function measureDistance(a: Locality, b: Locality): number {
  if (a.region !== b.region) return 3;
  if (a.zone !== b.zone) return 2;
  return a.subzone === b.subzone ? 0 : 1;
}

/** True where a locality fits "region/zone/subzone", of which parts may be "*" and later ones may be missing. */
function matchesLocality(locality: Locality, pattern: string): boolean {
  const want = parseLocality(pattern);
  const fits = (part: string, value: string, optional: boolean): boolean =>
    part === "*" || (optional && part === "") || part === value;
  return (
    fits(want.region, locality.region, false) &&
    fits(want.zone, locality.zone, true) &&
    fits(want.subzone, locality.subzone, true)
  );
}

/** Where something runs counts as labels of it, whether or not it carries them. */
function findCallerLabel(caller: Caller, label: string): string {
  return findOwn(caller.labels, label) ?? findTopology(caller, label);
}

function findEndpointLabel(endpoint: Endpoint, label: string): string {
  return findOwn(endpoint.labels, label) ?? findTopology(endpoint, label);
}

function findTopology(place: Omit<Caller, "labels" | "comparesLabels">, label: string): string {
  switch (label) {
    case topologyLabels.network:
      return place.network;
    case topologyLabels.region:
      return place.locality.region;
    case topologyLabels.zone:
      return place.locality.zone;
    case topologyLabels.subzone:
      return place.locality.subzone;
    case topologyLabels.cluster:
      return place.clusterId;
    case topologyLabels.node:
      return place.nodeName;
    default:
      return "";
  }
}
