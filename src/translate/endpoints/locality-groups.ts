/** Endpoints of a cluster by locality: grouping, and the weights and priorities that rules give the groups. */

import { u32 } from "@meltemi/protos";
import type { Locality as WireLocality } from "@meltemi/protos/envoy/config/core/v3";
import type { LbEndpoint, LocalityLbEndpoints } from "@meltemi/protos/envoy/config/endpoint/v3";
import { sortEntries } from "../../lib/text-order.ts";
import { type Endpoint, formatLocality, type Locality } from "../../model/endpoint.ts";

/** An endpoint next to its wire form: rules look at the first, Envoy gets the second. */
export interface Member {
  readonly endpoint: Endpoint;
  readonly wire: LbEndpoint;
  readonly weight: number;
}

export interface LocalityGroup {
  readonly locality: Locality;
  readonly members: readonly Member[];
  /** undefined: none is sent (a group that was emptied). */
  readonly weight: number | undefined;
  readonly priority: number;
}

/** Groups sorted by locality, members in the order given; a group weighs as much as its members. */
export function groupByLocality(members: readonly Member[]): readonly LocalityGroup[] {
  const groups = new Map<string, Member[]>();
  for (const member of members) {
    const label = formatLocality(member.endpoint.locality);
    const group = groups.get(label);
    if (group === undefined) groups.set(label, [member]);
    else group.push(member);
  }
  return sortEntries(groups).map(([, group]) => createGroup(group[0]?.endpoint.locality, group));
}

export function sumWeights(members: readonly Member[]): number {
  const maximum = 4294967295;
  return Math.min(
    members.reduce((sum, { weight }) => sum + weight, 0),
    maximum,
  );
}

export function buildLocalityEndpoints(group: LocalityGroup): LocalityLbEndpoints {
  return {
    locality: buildLocality(group.locality),
    ...(group.members.length === 0 ? {} : { lb_endpoints: group.members.map(({ wire }) => wire) }),
    ...(group.weight === undefined ? {} : { load_balancing_weight: u32(group.weight) }),
    ...(group.priority === 0 ? {} : { priority: group.priority }),
  };
}

function createGroup(locality: Locality | undefined, members: readonly Member[]): LocalityGroup {
  return {
    locality: locality ?? { region: "", zone: "", subzone: "" },
    members,
    weight: sumWeights(members),
    priority: 0,
  };
}

function buildLocality({ region, zone, subzone }: Locality): WireLocality {
  return {
    ...(region === "" ? {} : { region }),
    ...(zone === "" ? {} : { zone }),
    ...(subzone === "" ? {} : { sub_zone: subzone }),
  };
}
