/** Circuit breakers of a cluster, by priority: how much of each resource may be in use at once. */

import { durationToMs } from "@meltemi/protos";
import type { CircuitBreakers_Thresholds, CircuitBreakers as Wire } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Clock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import type { Counter, Gauge, StatNames, Stats } from "../lib/stats.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import { RecentCount } from "./recent-count.ts";
import type { Breaker, CircuitBreakers } from "./types.ts";

const defaultLimit = 1024;
const defaultRetries = 3;
const unlimited = 2 ** 32 - 1;

export interface BreakerEnv {
  /** "cluster.NAME." */
  readonly stats: Stats;
  readonly clock: Clock;
}

const resources = ["cx", "rq_pending", "rq", "rq_retry", "cx_pool"];

/** What a cluster shows from the start. */
export const breakerStatNames: StatNames = {
  counters: [
    "upstream_cx_overflow",
    "upstream_rq_active_overflow",
    "upstream_rq_pending_overflow",
    "upstream_rq_retry_overflow",
    "upstream_cx_pool_overflow",
  ],
  gauges: ["default", "high"].flatMap((priority) =>
    resources.map((name) => `circuit_breakers.${priority}.${name}_open`),
  ),
};

/** The breakers of both priorities. Throws ConfigError. */
export function compileCircuitBreakers(
  wire: Wire | undefined,
  { stats, clock }: BreakerEnv,
): (priority: "DEFAULT" | "HIGH") => CircuitBreakers {
  if ((wire?.per_host_thresholds ?? []).length > 0) throw new ConfigError("per_host_thresholds", "are not supported");
  const find = (priority: "DEFAULT" | "HIGH"): CircuitBreakers_Thresholds | undefined =>
    wire?.thresholds?.find((threshold) => (threshold.priority ?? "DEFAULT") === priority);
  const build = (priority: "DEFAULT" | "HIGH"): CircuitBreakers =>
    buildBreakers(find(priority) ?? {}, { stats, clock }, `circuit_breakers.${priority.toLowerCase()}.`);
  // Limits that are configured show at once; those that nobody has set are made when somebody asks.
  const made: { DEFAULT?: CircuitBreakers; HIGH?: CircuitBreakers } = {};
  for (const priority of ["DEFAULT", "HIGH"] as const)
    if (find(priority) !== undefined) made[priority] = build(priority);
  return (priority) => {
    made[priority] ??= build(priority);
    return made[priority];
  };
}

function buildBreakers(
  thresholds: CircuitBreakers_Thresholds,
  { stats, clock }: BreakerEnv,
  prefix: string,
): CircuitBreakers {
  const create = (options: BreakerOptions): CountingBreaker =>
    new CountingBreaker({
      limit: options.limit,
      recent: options.recent,
      open: stats.gauge(`${prefix}${options.name}_open`),
      remaining: thresholds.track_remaining ? stats.gauge(`${prefix}remaining_${options.remaining}`) : undefined,
      overflow: stats.counter(options.overflow),
    });
  const fixed = (wire: { readonly value?: number | undefined } | undefined, otherwise: number): (() => number) => {
    const limit = wrappedNumber(wire, otherwise);
    return () => limit;
  };
  const pendingRequests = create({
    name: "rq_pending",
    remaining: "pending",
    overflow: "upstream_rq_pending_overflow",
    limit: fixed(thresholds.max_pending_requests, defaultLimit),
  });
  const budget = thresholds.retry_budget;
  const intervalMs = durationToMs(budget?.budget_interval) ?? 0;
  const recent = intervalMs > 0 ? new RecentCount(clock, intervalMs) : undefined;
  const requests = create({
    name: "rq",
    remaining: "rq",
    overflow: "upstream_rq_active_overflow",
    limit: fixed(thresholds.max_requests, defaultLimit),
    recent,
  });
  const percent = budget?.budget_percent ? (budget.budget_percent.value ?? 0) : 20;
  const least = wrappedNumber(budget?.min_retry_concurrency, defaultRetries);
  // Requests that are under way; with an interval those of the last while as well, also where they are over.
  const counted = (): number => Math.max(requests.used + pendingRequests.used, recent?.value ?? 0);
  const retries = create({
    name: "rq_retry",
    remaining: "retries",
    overflow: "upstream_rq_retry_overflow",
    limit: budget
      ? () => Math.max(least, Math.floor((percent / 100) * counted()))
      : fixed(thresholds.max_retries, defaultRetries),
  });
  return {
    connections: create({
      name: "cx",
      remaining: "cx",
      overflow: "upstream_cx_overflow",
      limit: fixed(thresholds.max_connections, defaultLimit),
    }),
    pendingRequests,
    requests,
    retries,
    connectionPools: create({
      name: "cx_pool",
      remaining: "cx_pools",
      overflow: "upstream_cx_pool_overflow",
      limit: fixed(thresholds.max_connection_pools, unlimited),
    }),
  };
}

interface BreakerOptions extends Pick<CountingOptions, "limit"> {
  readonly recent?: RecentCount | undefined;
  /** Ends of names of its statistics. */
  readonly name: string;
  readonly remaining: string;
  readonly overflow: string;
}

interface CountingOptions {
  readonly limit: () => number;
  readonly recent: RecentCount | undefined;
  readonly open: Gauge;
  readonly remaining: Gauge | undefined;
  readonly overflow: Counter;
}

class CountingBreaker implements Breaker {
  readonly #options: CountingOptions;
  #isOpen = false;
  used = 0;

  constructor(options: CountingOptions) {
    this.#options = options;
    this.#show();
  }

  take(): boolean {
    if (this.used >= this.#options.limit()) {
      this.#options.overflow.inc();
      return false;
    }
    this.used += 1;
    this.#options.recent?.add();
    this.#show();
    return true;
  }

  release(): void {
    this.used -= 1;
    this.#show();
  }

  #show(): void {
    const { limit, open, remaining } = this.#options;
    const isOpen = this.used >= limit();
    if (isOpen !== this.#isOpen) {
      this.#isOpen = isOpen;
      open.set(isOpen ? 1 : 0);
    }
    remaining?.set(Math.max(0, limit() - this.used));
  }
}
