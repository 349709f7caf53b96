/** Statistics under Envoy's own names, such as "cluster.reviews.upstream_rq_total". */

export interface Counter {
  inc(by?: number): void;
  readonly value: number;
}

export interface Gauge {
  set(value: number): void;
  inc(by?: number): void;
  dec(by?: number): void;
  readonly value: number;
}

export interface Histogram {
  /** In the unit that Envoy's documentation has for it: milliseconds for most, bytes for some. */
  record(value: number): void;
}

/** Names of statistics: one object for all that have the same names. */
export interface StatNames {
  readonly counters?: readonly string[];
  readonly gauges?: readonly string[];
  readonly histograms?: readonly string[];
}

/**
 * Makes statistics and finds them again: the same name gives the same object, so that users look them up once, when
 * configuration is compiled, and never for a request.
 */
export interface Stats {
  counter(name: string): Counter;
  gauge(name: string): Gauge;
  histogram(name: string): Histogram;
  /** Shows them from now on, with 0 until somebody counts: costs next to nothing for names that are never counted. */
  announce(names: StatNames): void;
  /** The same statistics below a prefix: `scope("cluster.a")` gives "cluster.a.upstream_cx_total". */
  scope(prefix: string): Stats;
}
