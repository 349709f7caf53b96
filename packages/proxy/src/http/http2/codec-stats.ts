/** Statistics of the HTTP/2 codec, by Envoy's names: "http2.*", one set for all connection managers. */
import type { Counter, Gauge, Stats } from "../../lib/stats.ts";

const counterNames = [
  "dropped_headers_with_underscores",
  "goaway_sent",
  "header_list_size_too_large",
  "header_overflow",
  "inbound_empty_frames_flood",
  "inbound_priority_frames_flood",
  "inbound_window_update_frames_flood",
  "keepalive_timeout",
  "outbound_control_flood",
  "outbound_flood",
  "requests_rejected_with_underscores_in_headers",
  "rx_messaging_error",
  "rx_reset",
  "stream_refused_errors",
  "trailers",
  "tx_reset",
] as const;

export type Http2Counter = (typeof counterNames)[number];

export interface Http2CodecStats {
  readonly counters: Readonly<Record<Http2Counter, Counter>>;
  readonly streamsActive: Gauge;
}

/** Made, as in Envoy, when the first connection needs them. `root` is the scope of all statistics. */
export function findHttp2CodecStats(root: Stats): () => Http2CodecStats {
  let found: Http2CodecStats | undefined;
  return () => {
    found ??= createHttp2CodecStats(root.scope("http2"));
    return found;
  };
}

function createHttp2CodecStats(stats: Stats): Http2CodecStats {
  const counters = Object.fromEntries(counterNames.map((name) => [name, stats.counter(name)]));
  return {
    counters: counters as Record<Http2Counter, Counter>,
    streamsActive: stats.gauge("streams_active"),
  };
}
