/** All statistics of a proxy, as its administration pages read them. */
import type { Stats } from "./stats.ts";

export interface HistogramSummary {
  readonly count: number;
  readonly sum: number;
  /** Upper bounds (Envoy's default buckets) with the number of values at most that, cumulative. */
  readonly buckets: readonly (readonly [bound: number, count: number])[];
  /** Of Envoy's quantiles 0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100 in percent. */
  readonly quantiles: readonly (readonly [percent: number, value: number])[];
}

export interface StatsRegistry extends Stats {
  counters(): ReadonlyMap<string, number>;
  gauges(): ReadonlyMap<string, number>;
  histograms(): ReadonlyMap<string, HistogramSummary>;
  /** Sets counters and histograms back to nothing (/reset_counters). */
  reset(): void;
}
