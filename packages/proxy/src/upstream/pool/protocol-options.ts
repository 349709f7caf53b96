/** What a cluster says of the HTTP protocol to its hosts, from its typed options or from its older fields. */

import type { FloodLimits } from "@meltemi/http2/flood-guard";
import { defaultTableBytes } from "@meltemi/http2/hpack/decoder";
import { durationToMs, unpackAny } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type {
  Http1ProtocolOptions,
  Http2ProtocolOptions,
  HttpProtocolOptions,
} from "@meltemi/protos/envoy/config/core/v3";
import type { HttpProtocolOptions as UpstreamOptions } from "@meltemi/protos/envoy/extensions/upstreams/http/v3";
import { compileFloods } from "../../http/http2/options.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import { compileHeaderCase, type HeaderCase } from "./header-case.ts";

/** "auto": what ALPN agrees on. "downstream": what the client speaks. */
export type ProtocolChoice = "http1" | "http2" | "auto" | "downstream";

export interface Http1Options {
  readonly headerCase: HeaderCase;
  readonly hasTrailers: boolean;
  readonly allowsChunkedLength: boolean;
  readonly sendsFullUrl: boolean;
}

export interface Http2Options extends FloodLimits {
  readonly maxConcurrentStreams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly headerTableSize: number;
  readonly keepAlive: Http2KeepAlive | undefined;
  /** False: a message that breaks the rules ends its connection, not its stream alone. */
  readonly resetsStreamsOnly: boolean;
}

export interface Http2KeepAlive {
  /** 0 where only idle connections are asked before they are used. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly jitter: number;
  /** Before a connection that was idle for longer takes a request, it is asked; 0 for never. */
  readonly idleMs: number;
}

export interface ProtocolOptions {
  readonly choice: ProtocolChoice;
  readonly http1: Http1Options;
  readonly http2: Http2Options;
  /** 0 for none. */
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number;
  readonly maxStreamDurationMs: number;
  readonly maxRequestsPerConnection: number;
  readonly maxHeaders: number;
  readonly maxHeaderBytes: number;
}

const optionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** Of TCP pools: only their idle time, which connections that nobody waits for would have; there are none here. */
const tcpOptionsKey = "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions";

const hourMs = 3_600_000;
const defaultMaxHeaders = 100;
/** Envoy's default for answers. */
const defaultMaxHeaderBytes = 60 * 1024;
const defaultConcurrentStreams = 1024;
/**
 * Smaller than Envoy's defaults (16 and 24 MiB): what a stream may send is kept in memory until somebody wants it, and how
 * often a window is opened again changes no answer.
 */
const defaultStreamWindow = 1024 * 1024;
const defaultConnectionWindow = 16 * 1024 * 1024;

/** Reads the options of a cluster. Throws ConfigError for what is not there: HTTP/3, filters other than the codec's. */
export function compileProtocolOptions(cluster: Cluster): ProtocolOptions {
  const path = `typed_extension_protocol_options["${optionsKey}"]`;
  const typed = findTypedOptions(cluster);
  if (typed === undefined) {
    return buildOptions(chooseByOldFields(cluster), {
      common: cluster.common_http_protocol_options,
      http1: cluster.http_protocol_options,
      http2: cluster.http2_protocol_options,
      maxRequests: cluster.max_requests_per_connection?.value,
    });
  }
  return within(path, () => {
    checkFilters(typed);
    const { explicit_http_config: explicit, use_downstream_protocol_config: followed, auto_config: auto } = typed;
    const chosen = explicit ?? followed ?? auto;
    if (chosen === undefined) throw new ConfigError("upstream_protocol_options", "is required");
    if (explicit?.http3_protocol_options) throw new ConfigError("explicit_http_config", "HTTP/3 is not implemented");
    if (auto?.alternate_protocols_cache_options) {
      throw new ConfigError("auto_config.alternate_protocols_cache_options", "is not implemented (it is for HTTP/3)");
    }
    return buildOptions(chooseByOptions(typed), {
      common: typed.common_http_protocol_options,
      http1: chosen.http_protocol_options,
      http2: chosen.http2_protocol_options,
      maxRequests: cluster.max_requests_per_connection?.value,
    });
  });
}

function findTypedOptions(cluster: Cluster): UpstreamOptions | undefined {
  let found: UpstreamOptions | undefined;
  for (const [key, any] of Object.entries(cluster.typed_extension_protocol_options ?? {})) {
    if (key === tcpOptionsKey) continue;
    const path = `typed_extension_protocol_options["${key}"]`;
    const { typeName, message } = unpackAny(any);
    if (typeName !== optionsKey) throw new ConfigError(path, `${typeName} is not implemented`);
    found = message as UpstreamOptions;
  }
  return found;
}

function chooseByOptions({ explicit_http_config: explicit, auto_config: auto }: UpstreamOptions): ProtocolChoice {
  if (auto) return "auto";
  if (explicit === undefined) return "downstream";
  return explicit.http2_protocol_options ? "http2" : "http1";
}

function chooseByOldFields(cluster: Cluster): ProtocolChoice {
  if (cluster.protocol_selection === "USE_DOWNSTREAM_PROTOCOL") return "downstream";
  return cluster.http2_protocol_options ? "http2" : "http1";
}

function checkFilters(typed: UpstreamOptions): void {
  for (const [index, filter] of (typed.http_filters ?? []).entries()) {
    const type = filter.typed_config?.type_url ?? "";
    if (type.endsWith("/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec")) continue;
    if (filter.is_optional === true || filter.disabled === true) continue;
    throw new ConfigError(`http_filters[${index}]`, `upstream filter ${filter.name ?? type} is not implemented`);
  }
  if (typed.header_validation_config) {
    throw new ConfigError("header_validation_config", "is not implemented");
  }
}

interface OptionSources {
  readonly common: HttpProtocolOptions | undefined;
  readonly http1: Http1ProtocolOptions | undefined;
  readonly http2: Http2ProtocolOptions | undefined;
  readonly maxRequests: number | undefined;
}

function buildOptions(choice: ProtocolChoice, { common, http1, http2, maxRequests }: OptionSources): ProtocolOptions {
  return {
    choice,
    http1: {
      headerCase: compileHeaderCase(http1?.header_key_format),
      hasTrailers: http1?.enable_trailers === true,
      allowsChunkedLength: http1?.allow_chunked_length === true,
      sendsFullUrl: http1?.send_fully_qualified_url === true,
    },
    http2: compileHttp2(http2),
    idleTimeoutMs: common?.idle_timeout ? durationToMs(common.idle_timeout) : hourMs,
    maxConnectionDurationMs: toMs(common?.max_connection_duration),
    maxStreamDurationMs: toMs(common?.max_stream_duration),
    maxRequestsPerConnection: wrappedNumber(common?.max_requests_per_connection, maxRequests ?? 0),
    maxHeaders: wrappedNumber(common?.max_headers_count, defaultMaxHeaders),
    maxHeaderBytes: defaultMaxHeaderBytes,
  };
}

function compileHttp2(wire: Http2ProtocolOptions | undefined): Http2Options {
  const keepAlive = wire?.connection_keepalive;
  return {
    maxConcurrentStreams: wrappedNumber(wire?.max_concurrent_streams, defaultConcurrentStreams),
    streamWindow: wrappedNumber(wire?.initial_stream_window_size, defaultStreamWindow),
    connectionWindow: wrappedNumber(wire?.initial_connection_window_size, defaultConnectionWindow),
    headerTableSize: wrappedNumber(wire?.hpack_table_size, defaultTableBytes),
    ...compileFloods(wire ?? {}),
    keepAlive: keepAlive && {
      intervalMs: toMs(keepAlive.interval),
      timeoutMs: toMs(keepAlive.timeout),
      jitter: wrappedNumber(keepAlive.interval_jitter, 15) / 100,
      idleMs: toMs(keepAlive.connection_idle_interval),
    },
    resetsStreamsOnly:
      wire?.override_stream_error_on_invalid_http_message?.value ??
      wire?.stream_error_on_invalid_http_messaging ??
      false,
  };
}

function toMs(duration: Parameters<typeof durationToMs>[0] | undefined): number {
  return duration ? durationToMs(duration) : 0;
}
