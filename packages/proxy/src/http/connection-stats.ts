/** Statistics of one connection manager, looked up once: "http.PREFIX.downstream_*". */
import type { Counter, Gauge, Histogram, Stats } from "../lib/stats.ts";

const counterNames = [
  "cx_total",
  "cx_ssl_total",
  "cx_http1_total",
  "cx_http2_total",
  "cx_upgrades_total",
  "cx_destroy",
  "cx_destroy_active_rq",
  "cx_destroy_local",
  "cx_destroy_local_active_rq",
  "cx_destroy_remote",
  "cx_destroy_remote_active_rq",
  "cx_idle_timeout",
  "cx_max_duration_reached",
  "cx_max_requests_reached",
  "cx_drain_close",
  "cx_delayed_close_timeout",
  "cx_protocol_error",
  "cx_overload_disable_keepalive",
  "cx_rx_bytes_total",
  "cx_tx_bytes_total",
  "rq_total",
  "rq_http1_total",
  "rq_http2_total",
  "rq_completed",
  "rq_1xx",
  "rq_2xx",
  "rq_3xx",
  "rq_4xx",
  "rq_5xx",
  "rq_idle_timeout",
  "rq_timeout",
  "rq_header_timeout",
  "rq_max_duration_reached",
  "rq_too_large",
  "rq_too_many_premature_resets",
  "rq_overload_close",
  "rq_rx_reset",
  "rq_tx_reset",
  "rq_non_relative_path",
  "rq_ws_on_non_ws_route",
  "rq_response_before_rq_complete",
  "rq_failed_path_normalization",
  "rq_redirected_with_normalized_path",
  "rq_rejected_via_ip_detection",
] as const;

const gaugeNames = [
  "cx_active",
  "cx_ssl_active",
  "cx_http1_active",
  "cx_http2_active",
  "cx_upgrades_active",
  "rq_active",
] as const;

export type DownstreamCounter = (typeof counterNames)[number];
export type DownstreamGauge = (typeof gaugeNames)[number];

export interface ConnectionStats {
  readonly counters: Readonly<Record<DownstreamCounter, Counter>>;
  readonly gauges: Readonly<Record<DownstreamGauge, Gauge>>;
  /** Milliseconds. */
  readonly requestTime: Histogram;
  readonly connectionLength: Histogram;
  readonly tooLargeAnswers: Counter;
  /** Counts one answer by the class of its status, also for the listener. */
  countStatus(status: number): void;
}

/** `http` is "http.PREFIX.", `listener` is "listener.ADDRESS.http.PREFIX.". */
export function createConnectionStats(http: Stats, listener: Stats): ConnectionStats {
  const counters = collect(counterNames, (name) => http.counter(`downstream_${name}`));
  const gauges = collect(gaugeNames, (name) => http.gauge(`downstream_${name}`));
  const classes = [1, 2, 3, 4, 5].map((digit) => [
    http.counter(`downstream_rq_${digit}xx`),
    listener.counter(`downstream_rq_${digit}xx`),
  ]);
  const completed = listener.counter("downstream_rq_completed");
  return {
    counters,
    gauges,
    requestTime: http.histogram("downstream_rq_time"),
    connectionLength: http.histogram("downstream_cx_length_ms"),
    tooLargeAnswers: http.counter("rs_too_large"),
    countStatus(status) {
      counters.rq_completed.inc();
      completed.inc();
      const both = classes[Math.floor(status / 100) - 1];
      if (both === undefined) return;
      both[0]?.inc();
      both[1]?.inc();
    },
  };
}

function collect<Name extends string, Value>(
  names: readonly Name[],
  find: (name: Name) => Value,
): Readonly<Record<Name, Value>> {
  return Object.fromEntries(names.map((name) => [name, find(name)])) as Record<Name, Value>;
}
