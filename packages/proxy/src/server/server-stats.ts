/** Statistics of the process as a whole (docs: configuration/observability/statistics, "server."). */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Gauge, Stats } from "../lib/stats.ts";
import type { ServerState } from "./types.ts";

/** Envoy's numbers of the states. */
const stateNumbers: Readonly<Record<ServerState, number>> = {
  LIVE: 0,
  DRAINING: 1,
  PRE_INITIALIZING: 2,
  INITIALIZING: 3,
};

export interface ServerStatsOptions {
  readonly clock: Clock;
  readonly state: () => ServerState;
  /** Connections of clients that are open. */
  readonly connections: () => number;
  /** stats_flush_interval of the bootstrap, in milliseconds. */
  readonly flushPeriodMs: number;
  /** Ends an interval of the statistics. */
  readonly flush: () => void;
}

export class ServerStats {
  readonly #stats: Stats;
  /** 1 when this proxy serves: whoever watches over an Envoy waits for its workers. */
  readonly #workersStarted: Gauge;
  readonly #options: ServerStatsOptions;
  readonly #startedAt: number;
  readonly #timer: Timer;

  constructor(stats: Stats, options: ServerStatsOptions) {
    this.#stats = stats.scope("server");
    this.#workersStarted = stats.gauge("listener_manager.workers_started");
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    this.#stats.gauge("concurrency").set(1);
    this.#timer = options.clock.every(options.flushPeriodMs, () => {
      this.refresh();
      options.flush();
    });
    this.refresh();
  }

  /** Brings what nobody counts up to date. */
  refresh(): void {
    const { clock, state, connections } = this.#options;
    const { heapUsed, heapTotal, rss } = process.memoryUsage();
    const now = state();
    const gauges: Readonly<Record<string, number>> = {
      state: stateNumbers[now],
      live: now === "LIVE" ? 1 : 0,
      uptime: Math.floor((clock.monotonic() - this.#startedAt) / 1000),
      total_connections: connections(),
      memory_allocated: heapUsed,
      memory_heap_size: heapTotal,
      memory_physical_size: rss,
    };
    for (const [name, value] of Object.entries(gauges)) this.#stats.gauge(name).set(value);
  }

  /** Milliseconds from the start to LIVE, once. */
  initialized(): void {
    this.#workersStarted.set(1);
    this.#stats.histogram("initialization_time_ms").record(this.#options.clock.monotonic() - this.#startedAt);
    this.refresh();
  }

  close(): void {
    this.#timer.close();
  }
}
