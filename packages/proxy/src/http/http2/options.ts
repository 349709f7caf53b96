/** Settings of the HTTP/2 codec, compiled. */

import { defaultFloodLimits, type FloodLimits } from "@meltemi/http2/flood-guard";
import { durationToMs } from "@meltemi/protos";
import type { Http2ProtocolOptions } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";

export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly underscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
}

/** The same in HTTP/2, where a request of another kind may be a head alone. */
export interface Http2HeadLimits extends HeadLimits {
  /** Takes extended CONNECT (RFC 8441). */
  readonly allowsConnect: boolean;
}

export interface Http2Options extends Http2HeadLimits, FloodLimits {
  readonly maxConcurrentStreams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly headerTableSize: number;
  /** A malformed request costs its stream, and not the connection. */
  readonly keepsConnection: boolean;
  /** Milliseconds that a client has to read the end of a connection; 0: none. */
  readonly delayedCloseMs: number;
  readonly keepalive: Keepalive | undefined;
}

/** Milliseconds between PINGs, and for their answers. */
export interface Keepalive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Smaller than Envoy's 16 and 24 MiB: what a client may send ahead is held in memory for each of its streams. */
const mebibyte = 1024 * 1024;
const largest = 2 ** 31 - 1;

/** Throws ConfigError. `delayedCloseMs` is delayed_close_timeout. */
export function compileHttp2Options(
  wire: Http2ProtocolOptions = {},
  limits: HeadLimits,
  delayedCloseMs: number,
): Http2Options {
  if ((wire.custom_settings_parameters ?? []).length > 0) {
    throw new ConfigError("custom_settings_parameters", "is not implemented");
  }
  if (wire.allow_metadata === true) throw new ConfigError("allow_metadata", "is not implemented");
  const interval = wire.connection_keepalive?.interval;
  return {
    ...limits,
    maxConcurrentStreams: inRange("max_concurrent_streams", wrappedNumber(wire.max_concurrent_streams, 1_024), 1),
    streamWindow: inRange(
      "initial_stream_window_size",
      wrappedNumber(wire.initial_stream_window_size, mebibyte),
      65_535,
    ),
    connectionWindow: inRange(
      "initial_connection_window_size",
      wrappedNumber(wire.initial_connection_window_size, 4 * mebibyte),
      65_535,
    ),
    headerTableSize: wrappedNumber(wire.hpack_table_size, 4_096),
    allowsConnect: wire.allow_connect === true,
    ...compileFloods(wire),
    keepsConnection:
      wire.override_stream_error_on_invalid_http_message?.value ?? wire.stream_error_on_invalid_http_messaging === true,
    delayedCloseMs,
    keepalive:
      interval === undefined
        ? undefined
        : { intervalMs: durationToMs(interval), timeoutMs: durationToMs(wire.connection_keepalive?.timeout ?? {}) },
  };
}

/** Limits of frames that are of no use, with Envoy's defaults. Throws ConfigError. */
export function compileFloods(wire: Http2ProtocolOptions): FloodLimits {
  const defaults = defaultFloodLimits;
  return {
    outboundFrames: inRange("max_outbound_frames", wrappedNumber(wire.max_outbound_frames, defaults.outboundFrames), 1),
    outboundControlFrames: inRange(
      "max_outbound_control_frames",
      wrappedNumber(wire.max_outbound_control_frames, defaults.outboundControlFrames),
      1,
    ),
    emptyFrames: wrappedNumber(wire.max_consecutive_inbound_frames_with_empty_payload, defaults.emptyFrames),
    priorityFramesPerStream: wrappedNumber(
      wire.max_inbound_priority_frames_per_stream,
      defaults.priorityFramesPerStream,
    ),
    windowUpdatesPerDataFrame: inRange(
      "max_inbound_window_update_frames_per_data_frame_sent",
      wrappedNumber(wire.max_inbound_window_update_frames_per_data_frame_sent, defaults.windowUpdatesPerDataFrame),
      1,
    ),
  };
}

function inRange(path: string, value: number, least: number): number {
  if (value < least || value > largest) throw new ConfigError(path, `must be between ${least} and ${largest}`);
  return value;
}
