import type { HistogramBucketSettings, StatsConfig, StatsMatcher } from "@meltemi/protos/envoy/config/metrics/v3";
import { compileListStringMatcher, compileStringMatcher } from "../matchers/string-matcher.ts";
import { ConfigError, compileAll, need, within } from "./config-error.ts";
import {
  addValues,
  type BinnedValues,
  countBelow,
  createBinnedValues,
  findQuantiles,
  recordValue,
} from "./log-linear-histogram.ts";
import { compileTagRules, type TaggedName } from "./stat-tags.ts";
import type { Counter, Gauge, Histogram, Stats } from "./stats.ts";
import type { HistogramSummary, HistogramView, StatsRegistry } from "./stats-registry.ts";

export interface StatsOptions {
  /** stats_config of the bootstrap: stats_tags, use_all_default_tags, stats_matcher, histogram_bucket_settings. */
  readonly tags?: StatsConfig | undefined;
}

/** Upper bounds of Envoy's histograms, in the unit of each. */
const defaultBounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];
const percents = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];
const parts = percents.map((percent) => percent / 100);

/**
 * The statistics of a proxy. Throws ConfigError. A statistic that the matcher turns down works for whoever holds it, and
 * is on no page. Statistics live until `forget` is called for them.
 */
export function createStatsRegistry({ tags: config = {} }: StatsOptions = {}): StatsRegistry {
  return new Registry({
    findTags: compileTagRules(config),
    isShown: within("stats_matcher", () => compileMatcher(config.stats_matcher)),
    findBounds: compileBounds(config.histogram_bucket_settings),
  });
}

interface CompiledConfig {
  readonly findTags: (name: string) => TaggedName;
  readonly isShown: (name: string) => boolean;
  readonly findBounds: (name: string) => readonly number[];
}

class Registry implements StatsRegistry {
  readonly #config: CompiledConfig;
  readonly #counters = new Family(
    (name) => this.#config.isShown(name),
    () => new CounterValue(),
  );
  readonly #gauges = new Family(
    (name) => this.#config.isShown(name),
    () => new GaugeValue(),
  );
  readonly #histograms = new Family(
    (name) => this.#config.isShown(name),
    (name) => new HistogramValue(this.#config.findBounds(name)),
  );
  readonly #tags = new Map<string, TaggedName>();

  constructor(config: CompiledConfig) {
    this.#config = config;
  }

  counter(name: string): Counter {
    return this.#counters.open(name);
  }

  gauge(name: string): Gauge {
    return this.#gauges.open(name);
  }

  histogram(name: string): Histogram {
    return this.#histograms.open(name);
  }

  scope(prefix: string): Stats {
    return createScope(this, prefix);
  }

  counters(): ReadonlyMap<string, number> {
    return this.#counters.view(({ value }) => value);
  }

  gauges(): ReadonlyMap<string, number> {
    return this.#gauges.view(({ value }) => value);
  }

  histograms(): ReadonlyMap<string, HistogramView> {
    return this.#histograms.view((histogram) => histogram.summarize());
  }

  isUsed(name: string): boolean {
    const found = this.#counters.find(name) ?? this.#gauges.find(name) ?? this.#histograms.find(name);
    return found?.isUsed === true;
  }

  tagsOf(name: string): TaggedName {
    let tagged = this.#tags.get(name);
    if (tagged === undefined) {
      tagged = this.#config.findTags(name);
      this.#tags.set(name, tagged);
    }
    return tagged;
  }

  flush(): void {
    this.#histograms.each((histogram) => histogram.flush());
  }

  reset(): void {
    this.#counters.each((counter) => counter.reset());
    this.#histograms.each((histogram) => histogram.reset());
  }

  forget(prefixes: Iterable<string>, living: Iterable<string> = []): void {
    const fates = new Map<string, "gone" | "living">();
    for (const prefix of prefixes) fates.set(`${sanitizePrefix(prefix)}.`, "gone");
    for (const prefix of living) fates.set(`${sanitizePrefix(prefix)}.`, "living");
    for (const family of [this.#counters, this.#gauges, this.#histograms, this.#tags]) {
      for (const name of [...family.keys()]) if (findFate(name, fates) === "gone") family.delete(name);
    }
  }
}

/** Statistics of one type by name; those that are not to be shown apart. */
class Family<Value> {
  readonly #shown = new Map<string, Value>();
  readonly #hidden = new Map<string, Value>();
  readonly #isShown: (name: string) => boolean;
  readonly #create: (name: string) => Value;

  constructor(isShown: (name: string) => boolean, create: (name: string) => Value) {
    this.#isShown = isShown;
    this.#create = create;
  }

  open(name: string): Value {
    const known = this.#shown.get(name) ?? this.#hidden.get(name);
    if (known !== undefined) return known;
    const value = this.#create(name);
    (this.#isShown(name) ? this.#shown : this.#hidden).set(name, value);
    return value;
  }

  find(name: string): Value | undefined {
    return this.#shown.get(name);
  }

  view<Seen>(look: (value: Value) => Seen): ReadonlyMap<string, Seen> {
    return new Map([...this.#shown].map(([name, value]) => [name, look(value)]));
  }

  each(run: (value: Value) => void): void {
    for (const value of this.#shown.values()) run(value);
    for (const value of this.#hidden.values()) run(value);
  }

  keys(): readonly string[] {
    return [...this.#shown.keys(), ...this.#hidden.keys()];
  }

  delete(name: string): void {
    this.#shown.delete(name);
    this.#hidden.delete(name);
  }
}

class CounterValue implements Counter {
  value = 0;
  #wasReset = false;

  inc(by = 1): void {
    this.value += by;
  }

  get isUsed(): boolean {
    return this.value > 0 || this.#wasReset;
  }

  reset(): void {
    if (this.value > 0) this.#wasReset = true;
    this.value = 0;
  }
}

class GaugeValue implements Gauge {
  value = 0;
  isUsed = false;

  set(value: number): void {
    this.value = value;
    this.isUsed = true;
  }

  inc(by = 1): void {
    this.value += by;
    this.isUsed = true;
  }

  dec(by = 1): void {
    this.value -= by;
    this.isUsed = true;
  }
}

class HistogramValue implements Histogram {
  readonly #bounds: readonly number[];
  #total = createBinnedValues();
  #current = createBinnedValues();
  #interval = createBinnedValues();

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  record(value: number): void {
    recordValue(this.#current, value);
  }

  get isUsed(): boolean {
    return this.#total.count > 0 || this.#current.count > 0;
  }

  flush(): void {
    // Most of all histograms have nothing to tell, and there are several for each cluster.
    if (this.#current.count === 0 && this.#interval.count === 0) return;
    addValues(this.#total, this.#current);
    this.#interval = this.#current;
    this.#current = createBinnedValues();
  }

  reset(): void {
    this.#total = createBinnedValues();
    this.#current = createBinnedValues();
    this.#interval = createBinnedValues();
  }

  summarize(): HistogramView {
    const all = createBinnedValues();
    addValues(all, this.#total);
    addValues(all, this.#current);
    return { ...summarize(all, this.#bounds), interval: summarize(this.#interval, this.#bounds) };
  }
}

function summarize(values: BinnedValues, bounds: readonly number[]): HistogramSummary {
  const counts = countBelow(values, bounds);
  const found = findQuantiles(values, parts);
  return {
    count: values.count,
    sum: values.sum,
    buckets: bounds.map((bound, index) => [bound, counts[index] ?? 0]),
    quantiles: percents.map((percent, index) => [percent, found[index] ?? Number.NaN]),
  };
}

/** That of the longest prefix: names of clusters have dots, too, so that one may begin like another. */
function findFate<Fate>(name: string, fates: ReadonlyMap<string, Fate>): Fate | undefined {
  for (let end = name.lastIndexOf("."); end > 0; end = name.lastIndexOf(".", end - 1)) {
    const fate = fates.get(name.slice(0, end + 1));
    if (fate !== undefined) return fate;
  }
  return undefined;
}

function createScope(above: Stats, prefix: string): Stats {
  const start = `${sanitizePrefix(prefix)}.`;
  return {
    counter: (name) => above.counter(start + name),
    gauge: (name) => above.gauge(start + name),
    histogram: (name) => above.histogram(start + name),
    scope: (below) => createScope(above, start + below),
  };
}

/** Colons have a meaning in sinks of statistics: Envoy puts underscores in their place, also in names of clusters. */
function sanitizePrefix(prefix: string): string {
  return prefix.replace(/^\.|\.$/g, "").replace(/:\/\/|:\/|:|\0/g, "_");
}

function compileMatcher(wire: StatsMatcher | undefined): (name: string) => boolean {
  if (wire?.reject_all !== undefined) return () => wire.reject_all !== true;
  if (wire?.exclusion_list !== undefined) {
    const isExcluded = compileListStringMatcher(wire.exclusion_list);
    return (name) => !isExcluded(name);
  }
  return wire?.inclusion_list === undefined ? () => true : compileListStringMatcher(wire.inclusion_list);
}

function compileBounds(settings: readonly HistogramBucketSettings[] | undefined): (name: string) => readonly number[] {
  const rules = compileAll("histogram_bucket_settings", settings, ({ match, buckets = [] }) => {
    const isAscending = buckets.every((bound, index) => bound > (index === 0 ? 0 : (buckets[index - 1] ?? 0)));
    if (buckets.length === 0 || !isAscending) throw new ConfigError("buckets", "must be ascending numbers above 0");
    return { matches: within("match", () => compileStringMatcher(need("", match))), buckets };
  });
  return (name) => rules.find(({ matches }) => matches(name))?.buckets ?? defaultBounds;
}
