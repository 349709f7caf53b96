import type { Stats } from "../../lib/stats.ts";

export type TcpProxyStats = ReturnType<typeof createTcpProxyStats>;

/** "tcp.PREFIX." */
export function createTcpProxyStats(stats: Stats) {
  return {
    total: stats.counter("downstream_cx_total"),
    noRoute: stats.counter("downstream_cx_no_route"),
    sentBytes: stats.counter("downstream_cx_tx_bytes_total"),
    receivedBytes: stats.counter("downstream_cx_rx_bytes_total"),
    paused: stats.counter("downstream_flow_control_paused_reading_total"),
    resumed: stats.counter("downstream_flow_control_resumed_reading_total"),
    idleTimeout: stats.counter("idle_timeout"),
    maxDuration: stats.counter("max_downstream_connection_duration"),
    flushes: stats.counter("upstream_flush_total"),
    activeFlushes: stats.gauge("upstream_flush_active"),
  };
}
