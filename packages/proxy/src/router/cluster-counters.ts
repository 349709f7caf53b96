/** The statistics that the router keeps of a cluster: answers by code, retries, timeouts. Names are Envoy's. */
import type { Counter, Histogram, Stats } from "../lib/stats.ts";

const counterNames = [
  "upstream_rq_retry",
  "upstream_rq_retry_success",
  "upstream_rq_retry_limit_exceeded",
  "upstream_rq_retry_backoff_exponential",
  "upstream_rq_retry_backoff_ratelimited",
  "upstream_rq_timeout",
  "upstream_rq_per_try_timeout",
  "upstream_rq_per_try_idle_timeout",
  "upstream_rq_maintenance_mode",
  "retry_or_shadow_abandoned",
  "upstream_internal_redirect_succeeded_total",
  "upstream_internal_redirect_failed_total",
] as const;

export type CounterName = (typeof counterNames)[number];

/** What an answer is counted by besides its code. */
export interface AnswerKind {
  readonly isInternal: boolean;
  readonly isCanary: boolean;
  /** "FROM.TO", of the zones of this proxy and of the host; "" where one is not known. */
  readonly zones: string;
}

export class ClusterCounters {
  readonly counters: Readonly<Record<CounterName, Counter>>;
  readonly #stats: Stats;
  readonly #codes = new Map<string, CodeCounters>();

  constructor(stats: Stats) {
    this.#stats = stats;
    const entries = counterNames.map((name) => [name, stats.counter(name)] as const);
    this.counters = Object.fromEntries(entries) as Record<CounterName, Counter>;
  }

  countCode(status: number, kind: AnswerKind): void {
    this.#codesOf("").count(status);
    this.#codesOf(kind.isInternal ? "internal." : "external.").count(status);
    if (kind.isCanary) this.#codesOf("canary.").count(status);
    if (kind.zones !== "") this.#codesOf(`zone.${kind.zones}.`).count(status);
  }

  /** An answer that is not passed on, since the request is sent again. */
  countRetried(status: number): void {
    this.#codesOf("retry.").count(status);
  }

  /** Below a name of the client's choice (x-envoy-upstream-alt-stat-name). */
  countAlternative(name: string, status: number): void {
    this.#codesOf(`${name}.`).count(status);
  }

  countTime(ms: number, kind: AnswerKind): void {
    this.#codesOf("").time.record(ms);
    this.#codesOf(kind.isInternal ? "internal." : "external.").time.record(ms);
    if (kind.isCanary) this.#codesOf("canary.").time.record(ms);
    if (kind.zones !== "") this.#codesOf(`zone.${kind.zones}.`).time.record(ms);
  }

  #codesOf(prefix: string): CodeCounters {
    let codes = this.#codes.get(prefix);
    if (codes === undefined) {
      codes = new CodeCounters(this.#stats, prefix);
      this.#codes.set(prefix, codes);
    }
    return codes;
  }
}

/** Answers below one prefix, by code and by class. */
export class CodeCounters {
  readonly #stats: Stats;
  readonly #prefix: string;
  readonly #byStatus = new Map<number, readonly Counter[]>();
  #time: Histogram | undefined;

  constructor(stats: Stats, prefix: string) {
    this.#stats = stats;
    this.#prefix = prefix;
  }

  get time(): Histogram {
    this.#time ??= this.#stats.histogram(`${this.#prefix}upstream_rq_time`);
    return this.#time;
  }

  count(status: number): void {
    let counters = this.#byStatus.get(status);
    if (counters === undefined) {
      const names = [`upstream_rq_${status}`, `upstream_rq_${Math.floor(status / 100)}xx`, "upstream_rq_completed"];
      counters = names.map((name) => this.#stats.counter(`${this.#prefix}${name}`));
      this.#byStatus.set(status, counters);
    }
    for (const counter of counters) counter.inc();
  }
}
