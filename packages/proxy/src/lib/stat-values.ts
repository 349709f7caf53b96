/** Counters, gauges and histograms as numbers. */
import {
  addValues,
  type BinnedValues,
  countBelow,
  createBinnedValues,
  findQuantiles,
  recordValue,
} from "./log-linear-histogram.ts";
import type { Counter, Gauge, Histogram } from "./stats.ts";
import type { HistogramSummary, HistogramView } from "./stats-registry.ts";

const percents = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];
const parts = percents.map((percent) => percent / 100);

export class CounterValue implements Counter {
  /** On pages; the others count unseen. */
  readonly isShown: boolean;
  value = 0;
  #wasReset = false;

  constructor(isShown: boolean) {
    this.isShown = isShown;
  }

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

export class GaugeValue implements Gauge {
  readonly isShown: boolean;
  value = 0;
  isUsed = false;

  constructor(isShown: boolean) {
    this.isShown = isShown;
  }

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

export class HistogramValue implements Histogram {
  readonly isShown: boolean;
  readonly #bounds: readonly number[];
  #total = createBinnedValues();
  #current = createBinnedValues();
  #interval = createBinnedValues();

  constructor(isShown: boolean, bounds: readonly number[]) {
    this.isShown = isShown;
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
