/** Balancing by hash: the hash decides the priority by its last digits, and the host by the priority's table. */
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { HostSet } from "../hosts/host-set.ts";
import {
  type Balancer,
  type BalancerContext,
  type BalancerEnv,
  type CreateBalancer,
  type HostSource,
  isAvoided,
} from "./balancer.ts";
import { boundLoad } from "./bounded-load.ts";
import { type BuildHashTable, emptyTable, type HashTable, type WeightedHost } from "./hash-table.ts";
import { computeLoads, computeLoadsWithout, type PriorityLoads, pickPriority } from "./priority-loads.ts";

export interface HashBalancerOptions {
  readonly buildTable: BuildHashTable;
  readonly isLocalityWeighted: boolean;
  /** Percent of the average; 0: unbounded. */
  readonly balanceFactor: number;
  readonly panicThreshold: (env: BalancerEnv) => number;
}

export function hashBalancer(options: HashBalancerOptions): CreateBalancer {
  return (source, env) => new HashBalancer(options, source, env);
}

class HashBalancer implements Balancer {
  readonly #options: HashBalancerOptions;
  readonly #source: HostSource;
  readonly #env: BalancerEnv;
  #sets: readonly HostSet[] | undefined;
  #loads: PriorityLoads = { healthy: [], degraded: [], isPanicking: [] };
  #tables: readonly HashTable[] = [];

  constructor(options: HashBalancerOptions, source: HostSource, env: BalancerEnv) {
    this.#options = options;
    this.#source = source;
    this.#env = env;
  }

  /** Builds the tables, whose sizes are statistics: Envoy shows them for clusters that nobody has used yet as well. */
  prepare(): void {
    this.#refresh(this.#source());
  }

  choose(context: BalancerContext): ClusterHost | undefined {
    const sets = this.#source();
    if (sets !== this.#sets) this.#refresh(sets);
    const hash = context.hash ?? randomHash(this.#env.random);
    const { priority } = context.forced ?? pickPriority(this.#loadsFor(context), Number(hash % 100n));
    if (this.#loads.isPanicking[priority]) this.#env.lbStats.lb_healthy_panic.inc();
    const table = this.#tables[priority] ?? emptyTable;
    let host = table.find(hash, 0);
    for (let attempt = 1; attempt <= (context.maxReselections ?? 0); attempt += 1) {
      if (host === undefined || !isAvoided(host, context)) return host;
      host = table.find(hash, attempt);
    }
    return host;
  }

  #refresh(sets: readonly HostSet[]): void {
    const { buildTable, balanceFactor, isLocalityWeighted, panicThreshold } = this.#options;
    this.#sets = sets;
    this.#loads = computeLoads(sets, panicThreshold(this.#env));
    this.#tables = sets.map((set, priority) => {
      const kind = this.#loads.isPanicking[priority] ? "hosts" : "healthy";
      const hosts = normalizeWeights(set, kind, isLocalityWeighted);
      const table = buildTable(hosts, this.#env.stats);
      if (balanceFactor === 0) return table;
      return boundLoad(table, hosts, { balanceFactor, activeRequests: this.#env.activeRequests });
    });
  }

  #loadsFor({ triedPriorities }: BalancerContext): Pick<PriorityLoads, "healthy" | "degraded"> {
    if (triedPriorities === undefined || triedPriorities.length === 0) return this.#loads;
    return computeLoadsWithout(this.#sets ?? [], triedPriorities) ?? this.#loads;
  }
}

/** Weights that sum up to 1, by locality first where localities are weighted. */
function normalizeWeights(set: HostSet, kind: "hosts" | "healthy", isLocalityWeighted: boolean): WeightedHost[] {
  if (!isLocalityWeighted || set.localities.every(({ weight }) => weight === undefined)) return shareOut(set[kind], 1);
  const sum = set.localities.reduce((all, { weight = 0 }) => all + weight, 0);
  if (sum === 0) return [];
  return set.localities.flatMap((locality) => {
    const { weight = 0 } = locality;
    return weight === 0 ? [] : shareOut(locality[kind], weight / sum);
  });
}

function shareOut(hosts: readonly ClusterHost[], part: number): WeightedHost[] {
  const sum = hosts.reduce((all, { weight }) => all + weight, 0);
  return hosts.map((host) => ({ host, weight: (host.weight * part) / sum }));
}

function randomHash(random: () => number): bigint {
  return (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
}
