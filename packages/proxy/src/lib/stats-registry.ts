/** All statistics of a proxy, as its administration pages read them. */
import type { TaggedName } from "./stat-tags.ts";
import type { Stats } from "./stats.ts";

export interface HistogramSummary {
  readonly count: number;
  readonly sum: number;
  /** Upper bounds (Envoy's default buckets) with the number of values at most that, cumulative. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  /** Of Envoy's quantiles 0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100 in percent. */
  readonly quantiles: readonly (readonly [percent: number, value: number])[];
}

/** Of all values since the start, and of those of the interval that ended last. */
export interface HistogramView extends HistogramSummary {
  readonly interval: HistogramSummary;
}

/** Statistics by their names, as they are now. */
export interface StatLists {
  counters(): ReadonlyMap<string, number>;
  gauges(): ReadonlyMap<string, number>;
  histograms(): ReadonlyMap<string, HistogramView>;
}

export interface StatsRegistry extends Stats, StatLists {
  /**
   * All statistics in parts, for pages that cannot be made in one go: of thousands of clusters there are half a million. All
   * names of a part sort before those of the next.
   */
  parts(): readonly StatLists[];
  /** True where a statistic was ever counted, set or recorded into. */
  isUsed(name: string): boolean;
  /** The name without its labels, and these. Computed once for each name. */
  tagsOf(name: string): TaggedName;
  /** Ends an interval of the histograms; called every stats_flush_interval. */
  flush(): void;
  /** Sets counters and histograms back to nothing (/reset_counters). */
  reset(): void;
  /**
   * Takes all statistics below prefixes ("cluster.a.") off the pages: what they were of is gone. Whoever still holds one
   * counts on unseen; the next look-up of the name makes a new one. Those below a longer prefix for which `isLiving` is
   * true ("cluster.a.b.", as `cleanPrefix` gives it) stay.
   */
  forget(prefixes: Iterable<string>, isLiving?: (prefix: string) => boolean): void;
}
