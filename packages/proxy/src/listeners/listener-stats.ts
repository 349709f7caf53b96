import type { Stats } from "../lib/stats.ts";

/** The statistics of one listener that it keeps itself: "listener.ADDRESS_PORT." */
export type ListenerStats = ReturnType<typeof createListenerStats>;

export function createListenerStats(stats: Stats) {
  return {
    total: stats.counter("downstream_cx_total"),
    active: stats.gauge("downstream_cx_active"),
    destroyed: stats.counter("downstream_cx_destroy"),
    lengthMs: stats.histogram("downstream_cx_length_ms"),
    overflow: stats.counter("downstream_cx_overflow"),
    globalOverflow: stats.counter("downstream_global_cx_overflow"),
    preTimeout: stats.counter("downstream_pre_cx_timeout"),
    preActive: stats.gauge("downstream_pre_cx_active"),
    filterError: stats.counter("downstream_listener_filter_error"),
    filterRemoteClose: stats.counter("downstream_listener_filter_remote_close"),
    transportTimeout: stats.counter("downstream_cx_transport_socket_connect_timeout"),
    noFilterChainMatch: stats.counter("no_filter_chain_match"),
  };
}
