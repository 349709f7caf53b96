/** Access logs to a service (envoy.service.accesslog.v3.AccessLogService), in batches: a stream for each. */
import { duration, durationToMs, encode, u32 } from "@meltemi/protos";
import type { Node, Address as WireAddress } from "@meltemi/protos/envoy/config/core/v3";
import type { AccessLogCommon, HTTPAccessLogEntry, TCPAccessLogEntry } from "@meltemi/protos/envoy/data/accesslog/v3";
import type {
  CommonGrpcAccessLogConfig,
  HttpGrpcAccessLogConfig,
} from "@meltemi/protos/envoy/extensions/access_loggers/grpc/v3";
import type { StreamAccessLogsMessage } from "@meltemi/protos/envoy/service/accesslog/v3";
import { compileGrpcTarget, type GrpcTarget } from "../calls/grpc-call.ts";
import { sendGrpc } from "../calls/send-grpc.ts";
import { responseFlags } from "../http/response-flags.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { Counter, Stats } from "../lib/stats.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import type { Address } from "../listeners/connection.ts";
import { type CompiledTag, compileCustomTags } from "../tracing/span-tags.ts";
import type { ClusterManager } from "../upstream/types.ts";
import type { LogEntry } from "./types.ts";

export interface GrpcLogEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  readonly clusters: ClusterManager;
  readonly node?: Node | undefined;
  readonly environment?: ((name: string) => string | undefined) | undefined;
}

export interface GrpcLog {
  write(entry: LogEntry): void;
  close(): void;
}

const path = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const defaultFlushMs = 1_000;
const defaultFlushBytes = 16_384;
/** The service has so long for one batch. */
const callTimeoutMs = 10_000;
/** More entries than these wait only while the service is slow; then they are dropped and counted. */
const maxWaiting = 10_000;
/** About what an entry takes; entries are encoded when they are sent. */
const entryBytes = 512;

/** One entry for each request. Throws ConfigError. */
export function openHttpGrpcLog(wire: HttpGrpcAccessLogConfig, env: GrpcLogEnv): GrpcLog {
  const common = need("common_config", wire.common_config);
  const tags = within("common_config", () => compileCommonTags(common, env));
  return within("common_config", () =>
    openLog<HTTPAccessLogEntry>(common, env, {
      build: (entry) => buildHttpEntry(entry, wire, tags),
      wrap: (log_entry) => ({ http_logs: { log_entry } }),
    }),
  );
}

/** One entry for each connection. Throws ConfigError. */
export function openTcpGrpcLog(
  { common_config: config }: { readonly common_config?: CommonGrpcAccessLogConfig | undefined },
  env: GrpcLogEnv,
): GrpcLog {
  const common = need("common_config", config);
  const tags = within("common_config", () => compileCommonTags(common, env));
  return within("common_config", () =>
    openLog<TCPAccessLogEntry>(common, env, {
      build: (entry) => ({
        common_properties: buildCommon(entry, tags),
        connection_properties: { received_bytes: entry.info.bytesReceived, sent_bytes: entry.info.bytesSent },
      }),
      wrap: (log_entry) => ({ tcp_logs: { log_entry } }),
    }),
  );
}

function compileCommonTags(
  wire: CommonGrpcAccessLogConfig,
  { clusters, environment }: GrpcLogEnv,
): readonly CompiledTag[] {
  if ((wire.filter_state_objects_to_log ?? []).length > 0) {
    throw new ConfigError("filter_state_objects_to_log", "is not supported");
  }
  if (wire.grpc_stream_retry_policy !== undefined)
    throw new ConfigError("grpc_stream_retry_policy", "is not supported");
  return compileCustomTags(wire.custom_tags, { clusters, environment, node: {} });
}

interface EntryKind<Entry> {
  readonly build: (entry: LogEntry) => Entry;
  readonly wrap: (entries: readonly Entry[]) => StreamAccessLogsMessage;
}

function openLog<Entry>(wire: CommonGrpcAccessLogConfig, env: GrpcLogEnv, kind: EntryKind<Entry>): GrpcLog {
  const target = within("grpc_service", () => compileGrpcTarget(need("", wire.grpc_service), callTimeoutMs));
  const batches = new Batches<Entry>(env, {
    target,
    flushMs: wire.buffer_flush_interval === undefined ? defaultFlushMs : durationToMs(wire.buffer_flush_interval),
    flushCount: Math.max(1, Math.floor(wrappedNumber(wire.buffer_size_bytes, defaultFlushBytes) / entryBytes)),
    toMessage: (entries) =>
      encode("envoy.service.accesslog.v3.StreamAccessLogsMessage", {
        identifier: { node: env.node, log_name: wire.log_name },
        ...kind.wrap(entries),
      }),
  });
  return { write: (entry) => batches.push(kind.build(entry)), close: () => batches.close() };
}

interface BatchOptions<Entry> {
  readonly target: GrpcTarget;
  readonly flushMs: number;
  readonly flushCount: number;
  readonly toMessage: (entries: readonly Entry[]) => Uint8Array;
}

class Batches<Entry> {
  readonly #env: GrpcLogEnv;
  readonly #options: BatchOptions<Entry>;
  readonly #written: Counter;
  readonly #dropped: Counter;
  #waiting: Entry[] = [];
  #timer: Timer | undefined;
  #isSending = false;

  constructor(env: GrpcLogEnv, options: BatchOptions<Entry>) {
    const stats = env.stats.scope("access_logs.grpc_access_log");
    this.#env = env;
    this.#options = options;
    this.#written = stats.counter("logs_written");
    this.#dropped = stats.counter("logs_dropped");
  }

  push(entry: Entry): void {
    if (this.#waiting.length >= maxWaiting) {
      this.#dropped.inc();
      return;
    }
    this.#waiting.push(entry);
    if (this.#waiting.length >= this.#options.flushCount) this.#flush();
    else this.#timer ??= this.#env.clock.after(this.#options.flushMs, () => this.#flush());
  }

  /** Sends what waits, without waiting for it. */
  close(): void {
    this.#isSending = false;
    this.#flush();
    this.#timer?.close();
  }

  #flush(): void {
    this.#timer?.close();
    this.#timer = undefined;
    if (this.#isSending || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#isSending = true;
    void this.#send(batch);
  }

  async #send(batch: readonly Entry[]): Promise<void> {
    try {
      const message = this.#options.toMessage(batch);
      await sendGrpc(this.#env, { target: this.#options.target, path, message });
      this.#written.inc(batch.length);
    } catch (cause: unknown) {
      this.#dropped.inc(batch.length);
      this.#env.log.debug("an access log service does not take entries", { cause: String(cause) });
    }
    this.#isSending = false;
    if (this.#waiting.length > 0) this.#timer ??= this.#env.clock.after(this.#options.flushMs, () => this.#flush());
  }
}

const versions = { "HTTP/1.0": "HTTP10", "HTTP/1.1": "HTTP11", "HTTP/2": "HTTP2" } as const;

function buildHttpEntry(
  entry: LogEntry,
  wire: HttpGrpcAccessLogConfig,
  tags: readonly CompiledTag[],
): HTTPAccessLogEntry {
  const { info, request, responseHeaders, responseTrailers } = entry;
  const headers = request?.headers;
  const pick = (
    names: readonly string[] | undefined,
    read: (name: string) => string | undefined,
  ): Record<string, string> =>
    Object.fromEntries(
      (names ?? []).flatMap((name) => {
        const value = read(name.toLowerCase());
        return value === undefined ? [] : [[name.toLowerCase(), value]];
      }),
    );
  return {
    common_properties: buildCommon(entry, tags),
    protocol_version: info.protocol === undefined ? "PROTOCOL_UNSPECIFIED" : versions[info.protocol],
    request: {
      request_method: findMethod(request?.method),
      scheme: request?.scheme,
      authority: request?.authority,
      path: request?.path,
      user_agent: headers?.get("user-agent"),
      referer: headers?.get("referer"),
      forwarded_for: headers?.get("x-forwarded-for"),
      request_id: headers?.get("x-request-id"),
      original_path: headers?.get("x-envoy-original-path"),
      request_body_bytes: info.bytesReceived,
      request_headers: pick(wire.additional_request_headers_to_log, (name) => headers?.get(name)),
    },
    response: {
      response_code: info.responseCode === undefined ? undefined : u32(info.responseCode),
      response_code_details: info.responseCodeDetails,
      response_body_bytes: info.bytesSent,
      response_headers: pick(wire.additional_response_headers_to_log, (name) => responseHeaders?.get(name)),
      response_trailers: pick(wire.additional_response_trailers_to_log, (name) => responseTrailers?.get(name)),
    },
  };
}

const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

function findMethod(method: string | undefined): (typeof methods)[number] | undefined {
  return methods.find((known) => known === method);
}

/** Names of flags in the message where they are not those of the log. */
const otherFlagNames: Readonly<Record<string, string>> = {
  failed_local_health_check: "failed_local_healthcheck",
  dns_resolution_failed: "dns_resolution_failure",
};

function buildCommon(entry: LogEntry, tags: readonly CompiledTag[]): AccessLogCommon {
  const { info } = entry;
  const { connection } = info;
  const since = (at: number | undefined): ReturnType<typeof duration> | undefined =>
    at === undefined ? undefined : duration(Math.max(0, at - info.startedAt));
  const seconds = Math.floor(info.startTime / 1000);
  return {
    downstream_remote_address: toWire(info.remoteAddress ?? connection.remoteAddress),
    downstream_local_address: toWire(connection.localAddress),
    downstream_direct_remote_address: toWire(connection.directRemoteAddress),
    start_time: { seconds, nanos: Math.round((info.startTime - seconds * 1000) * 1e6) },
    time_to_last_rx_byte: since(info.requestReceivedAt),
    time_to_first_upstream_tx_byte: since(info.upstreamRequestSentAt),
    time_to_first_upstream_rx_byte: since(info.upstreamResponseAt),
    time_to_last_upstream_rx_byte: since(info.upstreamResponseEndAt),
    time_to_first_downstream_tx_byte: since(info.responseStartedAt),
    time_to_last_downstream_tx_byte: since(info.endedAt),
    duration: since(info.endedAt),
    upstream_remote_address: info.upstreamHost === undefined ? undefined : toWire(info.upstreamHost),
    upstream_cluster: info.clusterName,
    response_flags: buildFlags(entry),
    upstream_transport_failure_reason: info.upstreamTransportFailure,
    route_name: info.routeName,
    custom_tags: Object.fromEntries(
      tags.flatMap(({ name, read }) => {
        const value = read(entry);
        return value ? [[name, value]] : [];
      }),
    ),
    upstream_request_attempt_count: info.attempts,
    connection_termination_details: info.connectionTerminationDetails,
    stream_id: info.requestId,
    access_log_type: entry.type ?? (entry.request === undefined ? "TcpConnectionEnd" : "DownstreamEnd"),
  };
}

function buildFlags({ info }: LogEntry): AccessLogCommon["response_flags"] {
  if (info.responseFlags.size === 0) return undefined;
  const names = [...info.responseFlags]
    .filter((flag) => flag !== "UAEX" && flag !== "DO" && flag !== "UDO")
    .map((flag) => responseFlags[flag]);
  return {
    ...Object.fromEntries(names.map((name) => [otherFlagNames[name] ?? name, true])),
    ...(info.responseFlags.has("UAEX") ? { unauthorized_details: { reason: "EXTERNAL_SERVICE" as const } } : {}),
  };
}

function toWire({ ip, port }: Address): WireAddress {
  return ip.includes("/") ? { pipe: { path: ip } } : { socket_address: { address: ip, port_value: port } };
}
