/** Checks one host again and again, and decides by thresholds when its health has changed. */
import type { Clock, Timer } from "../../lib/clock.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { CheckResult } from "./check.ts";
import type { HealthTimes } from "./health-config.ts";
import type { HealthStats } from "./health-stats.ts";

export interface HostCheckerOptions {
  readonly host: ClusterHost;
  readonly times: HealthTimes;
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: HealthStats;
  /** Asks the host once. The signal is aborted when the time is up. */
  readonly run: (signal: AbortSignal) => Promise<CheckResult>;
  /** Whether anything was ever sent to the cluster: one without traffic is checked less often. */
  readonly hasTraffic: () => boolean;
  readonly onChange: (host: ClusterHost) => void;
  readonly onPassed: (host: ClusterHost) => void;
}

type Outcome = "changed" | "pending" | "unchanged";

export class HostChecker {
  readonly #options: HostCheckerOptions;
  /** Resolves when the first check is over, or nobody wants to know any more. */
  readonly first: Promise<void>;
  readonly #settleFirst: () => void;
  #timer: Timer | undefined;
  #abort: AbortController | undefined;
  #isFirst = true;
  #isClosed = false;
  #good = 0;
  #bad = 0;

  constructor(options: HostCheckerOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.first = promise;
    this.#settleFirst = resolve;
    const { times, random, stats, host } = options;
    if (host.health === "healthy") stats.healthy.inc();
    if (host.has("degraded-check")) stats.degraded.inc();
    if (times.initialJitterMs > 0) this.#wait(random() * times.initialJitterMs);
    else this.#start();
  }

  /** The host said with another answer that it fails. */
  failAtOnce(): void {
    const { host, stats } = this.#options;
    host.set("immediate-failure", true);
    this.#mark(false);
    stats.passiveFailure.inc();
    this.#options.onChange(host);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.close();
    this.#abort?.abort();
    const { stats, host } = this.#options;
    if (!host.has("failed-check")) stats.healthy.dec();
    if (host.has("degraded-check")) stats.degraded.dec();
    this.#settleFirst();
  }

  #wait(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => this.#start());
  }

  #start(): void {
    void this.#check();
  }

  async #check(): Promise<void> {
    const { clock, times, stats, run } = this.#options;
    stats.attempt.inc();
    const abort = new AbortController();
    this.#abort = abort;
    const timeout = Promise.withResolvers<CheckResult>();
    const timer = clock.after(times.timeoutMs, () => {
      timeout.resolve({ kind: "unreachable" });
      abort.abort();
    });
    const asked = run(abort.signal).catch((): CheckResult => ({ kind: "unreachable" }));
    const result = await Promise.race([asked, timeout.promise]);
    timer.close();
    if (this.#isClosed) return;
    this.#settle(result);
  }

  #settle(result: CheckResult): void {
    const { host, stats, onChange, onPassed } = this.#options;
    const isPassed = result.kind === "passed";
    const before = host.health;
    const wasExcluded = host.isExcluded;
    const outcome = result.kind === "passed" ? this.#pass(result.isDegraded) : this.#fail(result);
    this.#isFirst = false;
    host.set("pending-check", false);
    if (isPassed) {
      stats.success.inc();
      onPassed(host);
    } else {
      stats.failure.inc();
      if (result.kind === "unreachable") stats.networkFailure.inc();
    }
    if (host.health !== before || host.isExcluded !== wasExcluded) onChange(host);
    this.#settleFirst();
    this.#wait(this.#delayMs(isPassed, outcome));
  }

  #pass(isDegraded: boolean): Outcome {
    const { host, times, stats, clock } = this.#options;
    this.#bad = 0;
    if (host.set("degraded-check", isDegraded)) stats.degraded.set(stats.degraded.value + (isDegraded ? 1 : -1));
    if (!host.has("failed-check")) return "unchanged";
    this.#good += 1;
    // The first answer of all decides at once, so that a cluster is there soon.
    if (!this.#isFirst && this.#good < times.healthyThreshold) return "pending";
    this.#mark(true);
    host.set("immediate-failure", false);
    host.warmSince = clock.monotonic();
    return "changed";
  }

  #fail(result: Exclude<CheckResult, { kind: "passed" }>): Outcome {
    const { host, times } = this.#options;
    this.#good = 0;
    if (host.has("failed-check")) return "unchanged";
    this.#bad += 1;
    const isAtOnce = result.kind === "failed" && !result.isRetriable;
    if (!isAtOnce && this.#bad < times.unhealthyThreshold) return "pending";
    this.#mark(false);
    return "changed";
  }

  #mark(isHealthy: boolean): void {
    const { host, stats } = this.#options;
    if (!host.set("failed-check", !isHealthy)) return;
    if (isHealthy) stats.healthy.inc();
    else stats.healthy.dec();
    this.#good = 0;
    this.#bad = 0;
  }

  #delayMs(isPassed: boolean, outcome: Outcome): number {
    const { times, random, hasTraffic } = this.#options;
    const baseMs = hasTraffic() ? delayWithTraffic(times, isPassed, outcome) : delayWithout(times, isPassed);
    return baseMs + random() * (times.jitterMs + (baseMs * times.jitterPercent) / 100);
  }
}

function delayWithTraffic(times: HealthTimes, isPassed: boolean, outcome: Outcome): number {
  if (isPassed) return outcome === "pending" ? times.healthyEdgeMs : times.intervalMs;
  return outcome === "pending" ? times.unhealthyEdgeMs : times.unhealthyMs;
}

function delayWithout(times: HealthTimes, isPassed: boolean): number {
  return isPassed ? times.noTrafficHealthyMs : times.noTrafficMs;
}
