/** The statistics of a cluster's connections and requests, looked up once. Names are Envoy's. */
import type { Counter, Gauge, Histogram, StatNames, Stats } from "../../lib/stats.ts";

const counterNames = [
  "upstream_cx_total",
  "upstream_cx_http1_total",
  "upstream_cx_http2_total",
  "upstream_cx_connect_fail",
  "upstream_cx_connect_timeout",
  "upstream_cx_idle_timeout",
  "upstream_cx_max_duration_reached",
  "upstream_cx_max_requests",
  "upstream_cx_protocol_error",
  "upstream_cx_close_notify",
  "upstream_cx_destroy",
  "upstream_cx_destroy_local",
  "upstream_cx_destroy_remote",
  "upstream_cx_destroy_with_active_rq",
  "upstream_cx_destroy_local_with_active_rq",
  "upstream_cx_destroy_remote_with_active_rq",
  "upstream_cx_rx_bytes_total",
  "upstream_cx_tx_bytes_total",
  "upstream_rq_total",
  "upstream_rq_pending_total",
  "upstream_rq_pending_failure_eject",
  "upstream_rq_cancelled",
  "upstream_rq_rx_reset",
  "upstream_rq_tx_reset",
  "upstream_rq_max_duration_reached",
  "upstream_flow_control_paused_reading_total",
  "upstream_flow_control_resumed_reading_total",
  "upstream_flow_control_backed_up_total",
  "upstream_flow_control_drained_total",
] as const;

const gaugeNames = ["upstream_cx_active", "upstream_rq_active", "upstream_rq_pending_active"] as const;

const histogramNames = ["upstream_cx_connect_ms", "upstream_cx_length_ms"] as const;

export type PoolStats = Readonly<
  Record<(typeof counterNames)[number], Counter> &
    Record<(typeof gaugeNames)[number], Gauge> &
    Record<(typeof histogramNames)[number], Histogram>
>;

/** What a cluster shows from the start. */
export const poolStatNames: StatNames = { counters: counterNames, gauges: gaugeNames, histograms: histogramNames };

/** Looks all of them up below "cluster.NAME." */
export function createPoolStats(stats: Stats): PoolStats {
  return {
    ...fill(counterNames, (name) => stats.counter(name)),
    ...fill(gaugeNames, (name) => stats.gauge(name)),
    ...fill(histogramNames, (name) => stats.histogram(name)),
  };
}

function fill<Name extends string, Value>(names: readonly Name[], make: (name: Name) => Value): Record<Name, Value> {
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<Name, Value>;
}

/** What /clusters shows of one host. */
export interface HostCounts {
  cx_active: number;
  cx_connect_fail: number;
  cx_total: number;
  rq_active: number;
  rq_error: number;
  rq_success: number;
  rq_timeout: number;
  rq_total: number;
}

export function createHostCounts(): HostCounts {
  return {
    ...{ cx_active: 0, cx_connect_fail: 0, cx_total: 0 },
    ...{ rq_active: 0, rq_error: 0, rq_success: 0, rq_timeout: 0, rq_total: 0 },
  };
}
