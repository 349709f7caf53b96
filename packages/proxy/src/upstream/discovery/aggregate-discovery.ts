/** envoy.clusters.aggregate: the priorities of other clusters, one cluster after the other, as priorities of one. */

import { unpackAs } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import { ConfigError } from "../../lib/config-error.ts";
import type { BalancerContext } from "../balancers/balancer.ts";
import { computeLoads, computeLoadsWithout, type PriorityLoads, pickPriority } from "../balancers/priority-loads.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { HostSet } from "../hosts/host-set.ts";
import type { UpstreamCluster } from "../types.ts";
import type { Discovery, DiscoveryParts } from "./discovery.ts";

/** A cluster as one of those that an aggregate is made of. */
export interface AggregateMember {
  readonly cluster: UpstreamCluster;
  readonly sets: readonly HostSet[];
  choose(context: BalancerContext): ClusterHost | undefined;
}

export interface AggregateParts {
  /** Undefined where there is no such cluster, or none that balances by priorities. */
  findMember(name: string): AggregateMember | undefined;
  /** Percent. */
  panicThreshold(cluster: Cluster): number;
}

export function compileAggregate(
  cluster: Cluster,
  any: Any,
  env: AggregateParts,
): (parts: DiscoveryParts) => Discovery {
  const names = unpackAs("envoy.extensions.clusters.aggregate.v3.ClusterConfig", any)?.clusters ?? [];
  if (names.length === 0) throw new ConfigError("clusters", "is required");
  if (names.includes(cluster.name ?? "")) throw new ConfigError("clusters", "names the cluster itself");
  return ({ random }) => {
    // Weakly, as hosts come and go with their clusters.
    const owners = new WeakMap<ClusterHost, UpstreamCluster>();
    return {
      ready: Promise.resolve(),
      dropOverloads: [],
      choose(context) {
        const chosen = chooseFrom(names, context, { env, random, panicThreshold: env.panicThreshold(cluster) });
        if (chosen !== undefined) owners.set(chosen.host, chosen.cluster);
        return chosen?.host;
      },
      ownerOf: (host) => owners.get(host),
      close: () => undefined,
    };
  };
}

interface Chosen {
  readonly host: ClusterHost;
  readonly cluster: UpstreamCluster;
}

interface Place {
  readonly member: AggregateMember;
  readonly set: HostSet;
}

interface ChooseParts {
  readonly env: AggregateParts;
  readonly random: () => number;
  readonly panicThreshold: number;
}

function chooseFrom(
  names: readonly string[],
  context: BalancerContext,
  { env, random, panicThreshold }: ChooseParts,
): Chosen | undefined {
  const places = names.flatMap((name): readonly Place[] => {
    const member = env.findMember(name);
    return member === undefined ? [] : member.sets.map((set) => ({ member, set }));
  });
  if (places.length === 0) return undefined;
  const sets = places.map(({ set }) => set);
  const dice = context.hash === undefined ? random() * 100 : Number(context.hash % 100n);
  const { priority, isDegraded } = pickPriority(loadsFor(sets, context, panicThreshold), dice);
  const place = places[priority];
  if (place === undefined) return undefined;
  const forced = { priority: place.set.priority, isDegraded };
  // The hash by name: where it is worked out on demand it is no member of the object itself, which alone are copied.
  const host = place.member.choose({ ...context, hash: context.hash, forced });
  return host && { host, cluster: place.member.cluster };
}

function loadsFor(
  sets: readonly HostSet[],
  { triedPriorities = [] }: BalancerContext,
  panicThreshold: number,
): Pick<PriorityLoads, "healthy" | "degraded"> {
  const without = triedPriorities.length === 0 ? undefined : computeLoadsWithout(sets, triedPriorities);
  return without ?? computeLoads(sets, panicThreshold);
}
