/**
 * Outlier detection (Envoy: "Outlier detection"): hosts that fail are ejected for a while, the longer the more often, as long
 * as not too many are.
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Stats } from "../../lib/stats.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { HostMonitor } from "./host-monitor.ts";
import type { OutlierConfig, OutlierNumber } from "./outlier-config.ts";
import { findBelowMean, findFailing, type RatedHost } from "./success-rate.ts";

/** Kind of ejection: the name of its statistics, and of the number that says how often it is carried out. */
const kinds = {
  consecutive_5xx: "enforcing_consecutive_5xx",
  consecutive_gateway_failure: "enforcing_consecutive_gateway_failure",
  consecutive_local_origin_failure: "enforcing_consecutive_local_origin_failure",
  success_rate: "enforcing_success_rate",
  local_origin_success_rate: "enforcing_local_origin_success_rate",
  failure_percentage: "enforcing_failure_percentage",
  local_origin_failure_percentage: "enforcing_failure_percentage_local_origin",
} as const satisfies Readonly<Record<string, OutlierNumber>>;

type EjectionKind = keyof typeof kinds;

export interface OutlierDetectorOptions {
  readonly config: OutlierConfig;
  readonly clock: Clock;
  readonly random: () => number;
  /** "cluster.NAME." */
  readonly stats: Stats;
  readonly onChange: (host: ClusterHost) => void;
}

export class OutlierDetector {
  readonly #options: OutlierDetectorOptions;
  readonly #stats: Stats;
  readonly #monitors = new Map<ClusterHost, HostMonitor>();
  readonly #timer: Timer;
  #ejected = 0;

  constructor(options: OutlierDetectorOptions) {
    this.#options = options;
    this.#stats = options.stats.scope("outlier_detection.");
    for (const name of ["ejections_total", "ejections_overflow", "ejections_enforced_total"]) this.#stats.counter(name);
    for (const kind of Object.keys(kinds)) {
      this.#stats.counter(`ejections_detected_${kind}`);
      this.#stats.counter(`ejections_enforced_${kind}`);
    }
    this.#stats.gauge("ejections_active");
    this.#timer = options.clock.every(options.config.intervalMs, () => this.#turn());
  }

  add(host: ClusterHost): void {
    this.#monitors.set(host, new HostMonitor());
  }

  remove(host: ClusterHost): void {
    if (this.#monitors.delete(host) && host.has("outlier")) this.#countEjected(-1);
  }

  /** A host answered with this status. */
  reportStatus(host: ClusterHost, status: number): void {
    const monitor = this.#monitors.get(host);
    if (monitor === undefined) return;
    const isFailure = status >= 500 && status <= 599;
    monitor.external.count(!isFailure);
    if (!isFailure) {
      monitor.consecutive5xx = 0;
      monitor.consecutiveGateway = 0;
      return;
    }
    const { config } = this.#options;
    const isGateway = status >= 502 && status <= 504;
    monitor.consecutiveGateway = isGateway ? monitor.consecutiveGateway + 1 : 0;
    if (isGateway && monitor.consecutiveGateway === config.get("consecutive_gateway_failure")) {
      monitor.consecutiveGateway = 0;
      this.#detectConsecutive(host, "consecutive_gateway_failure");
    }
    monitor.consecutive5xx += 1;
    if (monitor.consecutive5xx === config.get("consecutive_5xx")) {
      monitor.consecutive5xx = 0;
      this.#detectConsecutive(host, "consecutive_5xx");
    }
  }

  /** No answer came: the connection failed or broke, or the time was up. */
  reportLocalFailure(host: ClusterHost, kind: "failure" | "timeout"): void {
    if (!this.#options.config.isSplit) {
      this.reportStatus(host, kind === "timeout" ? 504 : 503);
      return;
    }
    const monitor = this.#monitors.get(host);
    if (monitor === undefined) return;
    monitor.local.count(false);
    monitor.consecutiveLocal += 1;
    if (monitor.consecutiveLocal !== this.#options.config.get("consecutive_local_origin_failure")) return;
    monitor.consecutiveLocal = 0;
    this.#detectConsecutive(host, "consecutive_local_origin_failure");
  }

  /** A connection was made; `isAll` where nothing more will be known, as for TCP. */
  reportConnected(host: ClusterHost, isAll: boolean): void {
    if (!this.#options.config.isSplit) {
      if (isAll) this.reportStatus(host, 200);
      return;
    }
    const monitor = this.#monitors.get(host);
    if (monitor === undefined) return;
    monitor.local.count(true);
    monitor.consecutiveLocal = 0;
  }

  /** An active check succeeded. */
  onCheckPassed(host: ClusterHost): void {
    if (!this.#options.config.isUnejectedByChecks || !host.has("outlier") || host.has("failed-check")) return;
    const monitor = this.#monitors.get(host);
    if (monitor !== undefined) this.#uneject(host, monitor);
  }

  close(): void {
    this.#timer.close();
    for (const host of [...this.#monitors.keys()]) this.remove(host);
  }

  #detectConsecutive(host: ClusterHost, kind: EjectionKind): void {
    if (host.has("outlier")) return;
    this.#detect(host, kind);
    if (kind === "consecutive_5xx") this.#stats.counter("ejections_consecutive_5xx").inc();
  }

  #detect(host: ClusterHost, kind: EjectionKind): void {
    this.#stats.counter(`ejections_detected_${kind}`).inc();
    this.#eject(host, kind);
  }

  #eject(host: ClusterHost, kind: EjectionKind): void {
    const { config, random } = this.#options;
    const monitor = this.#monitors.get(host);
    if (monitor === undefined) return;
    const percent = (100 * (this.#ejected + 1)) / this.#monitors.size;
    const isFirst = config.alwaysEjectsOne && this.#ejected === 0;
    if (!isFirst && percent > Math.min(100, config.get("max_ejection_percent"))) {
      this.#stats.counter("ejections_overflow").inc();
      return;
    }
    if (kind === "consecutive_5xx" || kind === "success_rate") this.#stats.counter("ejections_total").inc();
    if (random() * 100 >= config.get(kinds[kind])) return;
    if (!host.has("outlier")) this.#countEjected(1);
    this.#stats.counter("ejections_enforced_total").inc();
    this.#stats.counter(`ejections_enforced_${kind}`).inc();
    host.set("outlier", true);
    monitor.ejectedAt = this.#options.clock.monotonic();
    monitor.jitterMs = Math.floor(random() * (config.ejectionJitterMs + 1));
    if (monitor.backOff * config.baseEjectionMs < config.maxEjectionMs + config.baseEjectionMs) monitor.backOff += 1;
    this.#options.onChange(host);
  }

  #uneject(host: ClusterHost, monitor: HostMonitor): void {
    this.#countEjected(-1);
    host.set("outlier", false);
    monitor.resetConsecutive();
    monitor.unejectedAt = this.#options.clock.monotonic();
    this.#options.onChange(host);
  }

  #countEjected(by: number): void {
    this.#ejected += by;
    this.#stats.gauge("ejections_active").set(this.#stats.gauge("ejections_active").value + by);
  }

  #turn(): void {
    const { config, clock } = this.#options;
    const now = clock.monotonic();
    for (const [host, monitor] of this.#monitors) {
      this.#unejectWhenDue(host, monitor, now);
      monitor.external.turn();
      monitor.local.turn();
    }
    this.#compare("external", "success_rate", "failure_percentage");
    this.#compare("local", "local_origin_success_rate", "local_origin_failure_percentage");
    for (const [host, monitor] of this.#monitors) {
      if (host.has("outlier") || monitor.unejectedAt === undefined) continue;
      if (now - monitor.unejectedAt >= config.intervalMs && monitor.backOff > 0) monitor.backOff -= 1;
    }
  }

  #unejectWhenDue(host: ClusterHost, monitor: HostMonitor, now: number): void {
    if (!host.has("outlier") || monitor.ejectedAt === undefined) return;
    const { baseEjectionMs, maxEjectionMs } = this.#options.config;
    const durationMs = Math.min(baseEjectionMs * monitor.backOff, maxEjectionMs) + monitor.jitterMs;
    if (now - monitor.ejectedAt >= durationMs) this.#uneject(host, monitor);
  }

  #compare(window: "external" | "local", rateKind: EjectionKind, percentageKind: EjectionKind): void {
    const { config } = this.#options;
    const rated = [...this.#monitors].flatMap(([host, monitor]): RatedHost<ClusterHost>[] =>
      host.has("outlier") || monitor[window].volume === 0
        ? []
        : [{ host, volume: monitor[window].volume, rate: monitor[window].rate }],
    );
    const enough = (volume: OutlierNumber, hosts: OutlierNumber): readonly RatedHost<ClusterHost>[] => {
      const counted = rated.filter((each) => each.volume >= config.get(volume));
      return counted.length >= config.get(hosts) ? counted : [];
    };
    const byMean = enough("success_rate_request_volume", "success_rate_minimum_hosts");
    for (const host of findBelowMean(byMean, config.get("success_rate_stdev_factor") / 1000)) {
      this.#detect(host, rateKind);
    }
    const byPart = enough("failure_percentage_request_volume", "failure_percentage_minimum_hosts");
    for (const host of findFailing(byPart, config.get("failure_percentage_threshold"))) {
      this.#detect(host, percentageKind);
    }
  }
}
