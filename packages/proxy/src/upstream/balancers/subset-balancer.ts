/**
 * Subsets by metadata (Envoy: "Load Balancer Subsets"): hosts are sorted by the values of the keys of each selector; a request
 * whose metadata match names all keys of a selector goes to the hosts with those values, or where its fallback says.
 */
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { filterHostSet, type HostSet } from "../hosts/host-set.ts";
import type { Balancer, BalancerContext, BalancerEnv, CreateBalancer, HostSource } from "./balancer.ts";
import type { SubsetConfig, SubsetSelector } from "./subset-config.ts";

export function subsetBalancer(config: SubsetConfig, inner: CreateBalancer): CreateBalancer {
  return (source, env) => new SubsetBalancer(config, { inner, source, env });
}

interface SubsetParts {
  readonly inner: CreateBalancer;
  readonly source: HostSource;
  readonly env: BalancerEnv;
}

interface Subset {
  readonly wants: (host: ClusterHost) => boolean;
  readonly balancer: Balancer;
  sets: readonly HostSet[];
  isEmpty: boolean;
  single: ClusterHost | undefined;
}

const metadataFallbackKey = "fallback_list";

class SubsetBalancer implements Balancer {
  readonly #config: SubsetConfig;
  readonly #parts: SubsetParts;
  readonly #all: Balancer;
  readonly #default: Subset;
  #sets: readonly HostSet[] | undefined;
  /** By selector and the values of its keys. */
  #subsets: ReadonlyMap<string, Subset> = new Map();

  constructor(config: SubsetConfig, parts: SubsetParts) {
    this.#config = config;
    this.#parts = parts;
    this.#all = parts.inner(parts.source, parts.env);
    this.#default = this.#createSubset((host) => this.#isMatch(host, config.defaultSubset));
  }

  choose(context: BalancerContext): ClusterHost | undefined {
    const sets = this.#parts.source();
    if (sets !== this.#sets) this.#refresh(sets);
    const match = context.metadataMatch;
    const list = match?.[metadataFallbackKey];
    if (this.#config.usesFallbackList && match !== undefined && Array.isArray(list)) {
      return this.#chooseByList(context, match, list);
    }
    return this.#chooseFor(context, match);
  }

  /** Metadata of the request with each member of its fallback list in turn, until one finds a host. */
  #chooseByList(
    context: BalancerContext,
    match: Readonly<Record<string, unknown>>,
    list: readonly unknown[],
  ): ClusterHost | undefined {
    const { [metadataFallbackKey]: _, ...rest } = match;
    for (const member of list) {
      if (typeof member !== "object" || member === null) continue;
      const host = this.#chooseFor(context, { ...rest, ...member });
      if (host !== undefined) return host;
    }
    return undefined;
  }

  #chooseFor(context: BalancerContext, match: Readonly<Record<string, unknown>> | undefined): ClusterHost | undefined {
    const selector = this.#findSelector(match);
    if (selector !== undefined && match !== undefined) {
      const subset = this.#subsets.get(keyOf(selector, match));
      if (subset !== undefined && !subset.isEmpty) {
        this.#parts.env.lbStats.lb_subsets_selected.inc();
        // Its own word, also where none of its hosts is well: the fallback is for subsets that are not there.
        return subset.single ?? subset.balancer.choose(context);
      }
      if (selector.fallback !== "NOT_DEFINED") return this.#fallBackOf(selector, context, match);
    }
    return this.#fallBack(this.#config.fallback, context);
  }

  #fallBackOf(
    { fallback, fallbackKeys }: SubsetSelector,
    context: BalancerContext,
    match: Readonly<Record<string, unknown>>,
  ): ClusterHost | undefined {
    if (fallback !== "KEYS_SUBSET") return this.#fallBack(fallback, context);
    return this.#chooseFor(context, Object.fromEntries(fallbackKeys.map((key) => [key, match[key]])));
  }

  #fallBack(policy: string, context: BalancerContext): ClusterHost | undefined {
    const { lbStats } = this.#parts.env;
    let host: ClusterHost | undefined;
    if (policy === "ANY_ENDPOINT") host = this.#all.choose(context);
    if (policy === "DEFAULT_SUBSET" && !this.#default.isEmpty) host = this.#default.balancer.choose(context);
    if (host !== undefined) {
      lbStats.lb_subsets_fallback.inc();
      return host;
    }
    if (!this.#config.panicsToAny) return undefined;
    host = this.#all.choose(context);
    if (host !== undefined) lbStats.lb_subsets_fallback_panic.inc();
    return host;
  }

  /** The selector whose keys are those of the match, all and no others. */
  #findSelector(match: Readonly<Record<string, unknown>> | undefined): SubsetSelector | undefined {
    if (match === undefined) return undefined;
    const keys = Object.keys(match).sort();
    return this.#config.selectors.find(
      (selector) => selector.keys.length === keys.length && selector.keys.every((key, place) => key === keys[place]),
    );
  }

  #refresh(sets: readonly HostSet[]): void {
    this.#sets = sets;
    const found = new Map<string, Subset>();
    const hosts = sets.flatMap((set) => set.hosts);
    const duplicates = this.#config.selectors.reduce((sum, selector) => sum + this.#sort(hosts, selector, found), 0);
    this.#count(found, duplicates);
    this.#subsets = found;
    for (const subset of [...found.values(), this.#default]) this.#fill(subset, sets);
  }

  /** Finds the subsets of a selector; gives how many hosts found theirs taken, where each takes one. */
  #sort(hosts: readonly ClusterHost[], selector: SubsetSelector, found: Map<string, Subset>): number {
    let duplicates = 0;
    for (const host of hosts) {
      for (const values of this.#valuesOf(host, selector)) {
        const key = keyOf(selector, values);
        if (found.has(key)) {
          if (selector.isSingleHost) duplicates += 1;
          continue;
        }
        const subset = this.#subsets.get(key) ?? this.#createSubset((each) => this.#isMatch(each, values));
        subset.single = selector.isSingleHost ? host : undefined;
        found.set(key, subset);
      }
    }
    return duplicates;
  }

  #count(found: ReadonlyMap<string, Subset>, duplicates: number): void {
    const { lbStats, stats } = this.#parts.env;
    const created = [...found.keys()].filter((key) => !this.#subsets.has(key)).length;
    const removed = [...this.#subsets.keys()].filter((key) => !found.has(key)).length;
    if (created > 0) lbStats.lb_subsets_created.inc(created);
    if (removed > 0) lbStats.lb_subsets_removed.inc(removed);
    lbStats.lb_subsets_active.set(found.size);
    if (duplicates > 0) stats.gauge("lb_subsets_single_host_per_subset_duplicate").set(duplicates);
  }

  #createSubset(wants: (host: ClusterHost) => boolean): Subset {
    const { inner, env } = this.#parts;
    const subset: Subset = {
      wants,
      sets: [],
      isEmpty: true,
      single: undefined,
      balancer: inner(() => subset.sets, env),
    };
    return subset;
  }

  #fill(subset: Subset, sets: readonly HostSet[]): void {
    subset.sets = sets.map((set) => this.#narrow(set, subset.wants));
    subset.isEmpty = subset.sets.every(({ hosts }) => hosts.length === 0);
  }

  #narrow(set: HostSet, wants: (host: ClusterHost) => boolean): HostSet {
    const narrow = filterHostSet(set, wants);
    const { isLocalityWeightAware, scalesLocalityWeight } = this.#config;
    if (!isLocalityWeightAware) {
      return { ...narrow, localities: narrow.localities.map((each) => ({ ...each, weight: undefined })) };
    }
    if (!scalesLocalityWeight) return narrow;
    const localities = narrow.localities.map((each, place) => {
      const all = set.localities[place]?.hosts.length ?? 0;
      return { ...each, weight: all === 0 ? 0 : Math.round(((each.weight ?? 0) * each.hosts.length) / all) };
    });
    return { ...narrow, localities };
  }

  /** The values of a host for a selector's keys: several where lists stand for any of their members; none where a key lacks. */
  #valuesOf(host: ClusterHost, { keys }: SubsetSelector): readonly Readonly<Record<string, unknown>>[] {
    let all: readonly Readonly<Record<string, unknown>>[] = [{}];
    const metadata = balancingMetadata(host);
    for (const key of keys) {
      const value = metadata[key];
      if (value === undefined) return [];
      const members: readonly unknown[] = this.#config.listsAreAny && Array.isArray(value) ? value : [value];
      all = all.flatMap((values) => members.map((member) => ({ ...values, [key]: member })));
    }
    return all;
  }

  #isMatch(host: ClusterHost, values: Readonly<Record<string, unknown>>): boolean {
    const metadata = balancingMetadata(host);
    return Object.entries(values).every(([key, wanted]) => {
      const value = metadata[key];
      if (value === undefined) return false;
      if (this.#config.listsAreAny && Array.isArray(value)) return value.some((member) => isSame(member, wanted));
      return isSame(value, wanted);
    });
  }
}

function balancingMetadata(host: ClusterHost): Readonly<Record<string, unknown>> {
  const metadata = host.metadata["envoy.lb"];
  return typeof metadata === "object" && metadata !== null ? { ...metadata } : {};
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || (typeof one === "object" && JSON.stringify(one) === JSON.stringify(other));
}

function keyOf({ keys }: SubsetSelector, values: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(keys.map((key) => [key, values[key]]));
}
