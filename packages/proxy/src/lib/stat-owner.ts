/**
 * The statistics of one owner, such as a cluster. There may be thousands of owners with a hundred names each, so names are
 * kept once for all that have the same, and a number is made when somebody counts it.
 */

import type { TaggedName } from "./stat-tags.ts";
import { CounterValue, GaugeValue, HistogramValue } from "./stat-values.ts";
import type { StatNames } from "./stats.ts";
import type { HistogramView } from "./stats-registry.ts";

/** What the bootstrap says of statistics, by their whole names. */
export interface StatRules {
  /** Undefined where all are shown. */
  readonly isShown: ((name: string) => boolean) | undefined;
  readonly findBounds: (name: string) => readonly number[];
}

/** A name in two parts: an owner's are looked up by the second. */
export interface SplitName {
  /** "cluster.a." */
  readonly owner: string;
  /** "upstream_rq_total" */
  readonly rest: string;
}

/** Owners are told apart by so many words of a name: "cluster.a", "listener.0". */
const ownerWords = 2;

/** Whatever way a name is put together, it has one owner. */
export function splitName(name: string): SplitName {
  let end = 0;
  for (let word = 0; word < ownerWords; word++) {
    const next = name.indexOf(".", end);
    if (next < 0) break;
    end = next + 1;
  }
  return { owner: name.slice(0, end), rest: name.slice(end) };
}

/** True where all names that begin so have one owner. */
export function hasOneOwner(prefix: string): boolean {
  return prefix.split(".").length > ownerWords;
}

/**
 * A prefix as names begin with it, with a dot at its end. Colons have a meaning in sinks of statistics: Envoy puts
 * underscores in their place, also in names of clusters.
 */
export function cleanPrefix(prefix: string): string {
  return `${prefix.replace(/^\.|\.$/g, "").replace(/:\/\/|:\/|:|\0/g, "_")}.`;
}

/** Names that are shown whether or not anybody has counted. */
interface Announced {
  readonly names: StatNames;
  readonly start: string;
  /** Those of `names` that the rules show; found when a page is asked for. */
  shown: Required<StatNames> | undefined;
}

export class StatOwner {
  readonly #start: string;
  readonly #rules: StatRules;
  #counters: Map<string, CounterValue> | undefined;
  #gauges: Map<string, GaugeValue> | undefined;
  #histograms: Map<string, HistogramValue> | undefined;
  #announced: Announced[] = [];
  #tags: Map<string, TaggedName> | undefined;

  /** `start` is what all of its names begin with. */
  constructor(start: string, rules: StatRules) {
    this.#start = start;
    this.#rules = rules;
  }

  counter(rest: string): CounterValue {
    this.#counters ??= new Map();
    let value = this.#counters.get(rest);
    if (value === undefined) {
      value = new CounterValue(this.#isShown(rest));
      this.#counters.set(rest, value);
    }
    return value;
  }

  gauge(rest: string): GaugeValue {
    this.#gauges ??= new Map();
    let value = this.#gauges.get(rest);
    if (value === undefined) {
      value = new GaugeValue(this.#isShown(rest));
      this.#gauges.set(rest, value);
    }
    return value;
  }

  histogram(rest: string): HistogramValue {
    this.#histograms ??= new Map();
    let value = this.#histograms.get(rest);
    if (value === undefined) {
      value = new HistogramValue(this.#isShown(rest), this.#rules.findBounds(this.#start + rest));
      this.#histograms.set(rest, value);
    }
    return value;
  }

  announce(start: string, names: StatNames): void {
    if (this.#announced.some((one) => one.start === start && one.names === names)) return;
    this.#announced.push({ start, names, shown: undefined });
  }

  /** Puts what is shown into `into`, by whole names. */
  listCounters(into: Map<string, number>): void {
    for (const [rest, { isShown, value }] of this.#counters ?? []) if (isShown) into.set(this.#start + rest, value);
    this.#eachUncounted("counters", this.#counters, (name) => into.set(name, 0));
  }

  listGauges(into: Map<string, number>): void {
    for (const [rest, { isShown, value }] of this.#gauges ?? []) if (isShown) into.set(this.#start + rest, value);
    this.#eachUncounted("gauges", this.#gauges, (name) => into.set(name, 0));
  }

  listHistograms(into: Map<string, HistogramView>): void {
    for (const [rest, value] of this.#histograms ?? [])
      if (value.isShown) into.set(this.#start + rest, value.summarize());
    this.#eachUncounted("histograms", this.#histograms, (name) =>
      into.set(name, new HistogramValue(true, this.#rules.findBounds(name)).summarize()),
    );
  }

  isUsed(rest: string): boolean {
    const found = this.#counters?.get(rest) ?? this.#gauges?.get(rest) ?? this.#histograms?.get(rest);
    return found?.isShown === true && found.isUsed;
  }

  tagsOf(rest: string, find: (name: string) => TaggedName): TaggedName {
    this.#tags ??= new Map();
    let tagged = this.#tags.get(rest);
    if (tagged === undefined) {
      tagged = find(this.#start + rest);
      this.#tags.set(rest, tagged);
    }
    return tagged;
  }

  flush(): void {
    for (const value of this.#histograms?.values() ?? []) value.flush();
  }

  reset(): void {
    for (const value of this.#counters?.values() ?? []) value.reset();
    for (const value of this.#histograms?.values() ?? []) value.reset();
  }

  /** True where nothing is left. */
  forget(isGone: (name: string) => boolean): boolean {
    // Most names end after the owner's part, and have one fate.
    const isOwnGone = isGone(`${this.#start}any`);
    const isRestGone = (rest: string): boolean => (rest.includes(".") ? isGone(this.#start + rest) : isOwnGone);
    for (const values of [this.#counters, this.#gauges, this.#histograms, this.#tags]) {
      for (const rest of values?.keys() ?? []) if (isRestGone(rest)) values?.delete(rest);
    }
    // Any name will do: what was announced was announced below one prefix.
    this.#announced = this.#announced.filter(({ start }) => !isRestGone(`${start}any`));
    const left = [this.#counters, this.#gauges, this.#histograms].some(
      (values) => values !== undefined && values.size > 0,
    );
    return !left && this.#announced.length === 0;
  }

  #isShown(rest: string): boolean {
    const { isShown } = this.#rules;
    return isShown === undefined || isShown(this.#start + rest);
  }

  #eachUncounted(
    kind: keyof StatNames,
    counted: ReadonlyMap<string, unknown> | undefined,
    run: (name: string) => void,
  ): void {
    for (const announced of this.#announced) {
      announced.shown ??= this.#findShown(announced);
      for (const name of announced.shown[kind]) {
        const rest = announced.start + name;
        if (counted?.has(rest) !== true) run(this.#start + rest);
      }
    }
  }

  #findShown({ start, names: { counters = [], gauges = [], histograms = [] } }: Announced): Required<StatNames> {
    const keep = (names: readonly string[]): readonly string[] => {
      const shown = names.filter((name) => this.#isShown(start + name));
      return shown.length === names.length ? names : shown;
    };
    return { counters: keep(counters), gauges: keep(gauges), histograms: keep(histograms) };
  }
}
