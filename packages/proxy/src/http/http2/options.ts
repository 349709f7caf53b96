/** Settings of the HTTP/2 codec, compiled. */

import { durationToMs } from "@meltemi/protos";
import type { Http2ProtocolOptions } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";

export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly underscores: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
}

export interface Http2Options extends HeadLimits {
  readonly maxConcurrentStreams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly headerTableSize: number;
  readonly allowsConnect: boolean;
  /** How many malformed requests a connection outlives. */
  readonly maxMalformed: number;
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

/**
 * Limits of floods (max_outbound_frames and the like) are no settings here: nghttp2 has its own bounds for each of them,
 * which are stricter than Envoy's defaults. Throws ConfigError.
 */
export function compileHttp2Options(wire: Http2ProtocolOptions = {}, limits: HeadLimits): Http2Options {
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
    maxMalformed: keepsConnection(wire) ? 100 : 0,
    keepalive:
      interval === undefined
        ? undefined
        : { intervalMs: durationToMs(interval), timeoutMs: durationToMs(wire.connection_keepalive?.timeout ?? {}) },
  };
}

/** By default Envoy ends a connection with its first malformed request; nghttp2 tells of none before the second. */
function keepsConnection(wire: Http2ProtocolOptions): boolean {
  return (
    wire.override_stream_error_on_invalid_http_message?.value ?? wire.stream_error_on_invalid_http_messaging === true
  );
}

function inRange(path: string, value: number, least: number): number {
  if (value < least || value > largest) throw new ConfigError(path, `must be between ${least} and ${largest}`);
  return value;
}
