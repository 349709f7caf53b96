import type { HistogramBucketSettings, StatsConfig, StatsMatcher } from "@meltemi/protos/envoy/config/metrics/v3";
import { compileListStringMatcher, compileStringMatcher } from "../matchers/string-matcher.ts";
import { ConfigError, compileAll, need, within } from "./config-error.ts";
import { cleanPrefix, hasOneOwner, StatOwner, type StatRules, splitName } from "./stat-owner.ts";
import { compileTagRules, type TaggedName } from "./stat-tags.ts";
import type { Counter, Gauge, Histogram, StatNames, Stats } from "./stats.ts";
import type { HistogramView, StatLists, StatsRegistry } from "./stats-registry.ts";

export interface StatsOptions {
  /** stats_config of the bootstrap: stats_tags, use_all_default_tags, stats_matcher, histogram_bucket_settings. */
  readonly tags?: StatsConfig | undefined;
}

/** Upper bounds of Envoy's histograms, in the unit of each. */
const defaultBounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

/**
 * The statistics of a proxy. Throws ConfigError. A statistic that the matcher turns down works for whoever holds it, and
 * is on no page. Statistics live until `forget` is called for them.
 */
export function createStatsRegistry({ tags: config = {} }: StatsOptions = {}): StatsRegistry {
  return new Registry(compileTagRules(config), {
    isShown: within("stats_matcher", () => compileMatcher(config.stats_matcher)),
    findBounds: compileBounds(config.histogram_bucket_settings),
  });
}

class Registry implements StatsRegistry {
  readonly #findTags: (name: string) => TaggedName;
  readonly #rules: StatRules;
  readonly #owners = new Map<string, StatOwner>();

  constructor(findTags: (name: string) => TaggedName, rules: StatRules) {
    this.#findTags = findTags;
    this.#rules = rules;
  }

  counter(name: string): Counter {
    const { owner, rest } = splitName(name);
    return this.open(owner).counter(rest);
  }

  gauge(name: string): Gauge {
    const { owner, rest } = splitName(name);
    return this.open(owner).gauge(rest);
  }

  histogram(name: string): Histogram {
    const { owner, rest } = splitName(name);
    return this.open(owner).histogram(rest);
  }

  announce(names: StatNames): void {
    announceEach(this, names);
  }

  scope(prefix: string): Stats {
    return createScope(this, cleanPrefix(prefix));
  }

  /** The owner of names that begin so. */
  open(start: string): StatOwner {
    let owner = this.#owners.get(start);
    if (owner === undefined) {
      owner = new StatOwner(start, this.#rules);
      this.#owners.set(start, owner);
    }
    return owner;
  }

  counters(): ReadonlyMap<string, number> {
    return listOf(this.#owners.values()).counters();
  }

  gauges(): ReadonlyMap<string, number> {
    return listOf(this.#owners.values()).gauges();
  }

  histograms(): ReadonlyMap<string, HistogramView> {
    return listOf(this.#owners.values()).histograms();
  }

  parts(): readonly StatLists[] {
    const parts: StatOwner[][] = [];
    let first: string | undefined;
    for (const [start, owner] of [...this.#owners].sort(([left], [right]) => (left < right ? -1 : 1))) {
      // "server." has names on both sides of those of "server.a.".
      if (first !== undefined && start.startsWith(first)) parts.at(-1)?.push(owner);
      else {
        parts.push([owner]);
        first = start;
      }
    }
    return parts.map(listOf);
  }

  isUsed(name: string): boolean {
    const { owner, rest } = splitName(name);
    return this.#owners.get(owner)?.isUsed(rest) === true;
  }

  tagsOf(name: string): TaggedName {
    const { owner, rest } = splitName(name);
    return this.#owners.get(owner)?.tagsOf(rest, this.#findTags) ?? this.#findTags(name);
  }

  flush(): void {
    for (const owner of this.#owners.values()) owner.flush();
  }

  reset(): void {
    for (const owner of this.#owners.values()) owner.reset();
  }

  forget(prefixes: Iterable<string>, isLiving: (prefix: string) => boolean = () => false): void {
    const gone = new Set<string>();
    for (const prefix of prefixes) gone.add(cleanPrefix(prefix));
    const isGone = (name: string): boolean => findFate(name, gone, isLiving) === "gone";
    for (const prefix of gone) {
      const owners = hasOneOwner(prefix)
        ? [splitName(prefix).owner]
        : [...this.#owners.keys()].filter((start) => start.startsWith(prefix));
      for (const start of owners) if (this.#owners.get(start)?.forget(isGone) === true) this.#owners.delete(start);
    }
  }
}

function listOf(owners: Iterable<StatOwner>): StatLists {
  const collect = <Value>(list: (owner: StatOwner, into: Map<string, Value>) => void): ReadonlyMap<string, Value> => {
    const all = new Map<string, Value>();
    for (const owner of owners) list(owner, all);
    return all;
  };
  return {
    counters: () => collect<number>((owner, all) => owner.listCounters(all)),
    gauges: () => collect<number>((owner, all) => owner.listGauges(all)),
    histograms: () => collect<HistogramView>((owner, all) => owner.listHistograms(all)),
  };
}

/** That of the longest prefix: names of clusters have dots, too, so that one may begin like another. */
function findFate(
  name: string,
  gone: ReadonlySet<string>,
  isLiving: (prefix: string) => boolean,
): "gone" | "living" | undefined {
  for (let end = name.lastIndexOf("."); end > 0; end = name.lastIndexOf(".", end - 1)) {
    const prefix = name.slice(0, end + 1);
    if (isLiving(prefix)) return "living";
    if (gone.has(prefix)) return "gone";
  }
  return undefined;
}

/** `start` ends with a dot. */
function createScope(registry: Registry, start: string): Stats {
  if (hasOneOwner(start)) return new OwnedScope(registry, start);
  return {
    counter: (name) => registry.counter(start + name),
    gauge: (name) => registry.gauge(start + name),
    histogram: (name) => registry.histogram(start + name),
    announce(names) {
      announceEach(this, names);
    },
    scope: (below) => createScope(registry, start + cleanPrefix(below)),
  };
}

/** A scope within one owner, which is looked up each time: one that was forgotten comes back as another. */
class OwnedScope implements Stats {
  readonly #registry: Registry;
  readonly #owner: string;
  readonly #rest: string;

  constructor(registry: Registry, start: string) {
    this.#registry = registry;
    ({ owner: this.#owner, rest: this.#rest } = splitName(start));
  }

  counter(name: string): Counter {
    return this.#registry.open(this.#owner).counter(this.#rest + name);
  }

  gauge(name: string): Gauge {
    return this.#registry.open(this.#owner).gauge(this.#rest + name);
  }

  histogram(name: string): Histogram {
    return this.#registry.open(this.#owner).histogram(this.#rest + name);
  }

  announce(names: StatNames): void {
    this.#registry.open(this.#owner).announce(this.#rest, names);
  }

  scope(prefix: string): Stats {
    return new OwnedScope(this.#registry, this.#owner + this.#rest + cleanPrefix(prefix));
  }
}

/** For what has no owner of its own, of which there is little. */
function announceEach(stats: Stats, { counters = [], gauges = [], histograms = [] }: StatNames): void {
  for (const name of counters) stats.counter(name);
  for (const name of gauges) stats.gauge(name);
  for (const name of histograms) stats.histogram(name);
}

/** Undefined where all are shown. */
function compileMatcher(wire: StatsMatcher | undefined): ((name: string) => boolean) | undefined {
  if (wire?.reject_all !== undefined) return () => wire.reject_all !== true;
  if (wire?.exclusion_list !== undefined) {
    const isExcluded = compileListStringMatcher(wire.exclusion_list);
    return (name) => !isExcluded(name);
  }
  return wire?.inclusion_list === undefined ? undefined : compileListStringMatcher(wire.inclusion_list);
}

function compileBounds(settings: readonly HistogramBucketSettings[] | undefined): (name: string) => readonly number[] {
  const rules = compileAll("histogram_bucket_settings", settings, ({ match, buckets = [] }) => {
    const isAscending = buckets.every((bound, index) => bound > (index === 0 ? 0 : (buckets[index - 1] ?? 0)));
    if (buckets.length === 0 || !isAscending) throw new ConfigError("buckets", "must be ascending numbers above 0");
    return { matches: within("match", () => compileStringMatcher(need("", match))), buckets };
  });
  return (name) => rules.find(({ matches }) => matches(name))?.buckets ?? defaultBounds;
}
