import { ProtoError, type TypeMap, typeNameOf, unpackAs } from "@meltemi/protos";
import type { AccessLog } from "@meltemi/protos/envoy/config/accesslog/v3";
import type { Node, SubstitutionFormatString } from "@meltemi/protos/envoy/config/core/v3";
import type { FileAccessLog } from "@meltemi/protos/envoy/extensions/access_loggers/file/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { Runtime } from "../config/runtime.ts";
import { compileJsonFormat, compileSubstitution, compileTextFormat } from "../formatter/compile-format.ts";
import type { FormatOptions, TextFormatter } from "../formatter/types.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { ClusterManager } from "../upstream/types.ts";
import { openHttpGrpcLog, openTcpGrpcLog } from "./grpc-log.ts";
import { LogFile, type LogTarget } from "./log-file.ts";
import { compileLogFilter } from "./log-filter.ts";
import type { AccessLogFactory, AccessLogger, LogEntry } from "./types.ts";

export interface AccessLogOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** The registry: "filesystem." is below it. */
  readonly stats: Stats;
  readonly runtime: Runtime;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly clusters: ClusterManager;
  /** Who this proxy is, for log services. */
  readonly node?: Node | undefined;
  /** Reads a variable of the environment; %ENVIRONMENT% is refused without. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
  /** Lines wait at most this long; 10 seconds where not given. */
  readonly flushIntervalMs?: number | undefined;
  /** Bytes that wait at most; 64 KiB where not given. */
  readonly flushBytes?: number | undefined;
  /** Descriptors of the standard streams, 1 and 2 where not given. */
  readonly streams?: { readonly stdout: number; readonly stderr: number } | undefined;
}

/** What Envoy writes where a log names no format. */
const defaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** Full names of the messages of all access loggers that are taken. */
const accessLogTypes = [
  "envoy.extensions.access_loggers.file.v3.FileAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
  "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
  "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
] as const satisfies readonly (keyof TypeMap)[];

export function createAccessLogFactory(options: AccessLogOptions): AccessLogFactory {
  return new Factory(options);
}

interface Sink {
  write(entry: LogEntry): void;
  close(): void;
}

class Factory implements AccessLogFactory {
  readonly #options: AccessLogOptions;
  readonly #files = new Map<string, LogFile>();

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  compile(config: readonly AccessLog[] | undefined): AccessLogger {
    const opened: Sink[] = [];
    try {
      const logs = compileAll("", config, (wire) => {
        const filter = within("filter", () => compileLogFilter(wire.filter, this.#options));
        const sink = within("typed_config", () => this.#openSink(need("", wire.typed_config)));
        opened.push(sink);
        return { filter, sink };
      });
      return {
        log: (entry) => {
          for (const { filter, sink } of logs) if (filter(entry)) sink.write(entry);
        },
        close: () => {
          for (const sink of opened.splice(0)) sink.close();
        },
      };
    } catch (cause: unknown) {
      for (const sink of opened) sink.close();
      throw cause;
    }
  }

  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #openSink(config: Any): Sink {
    const type = accessLogTypes.find((name) => name === typeNameOf(config.type_url ?? ""));
    const { stdout, stderr } = this.#options.streams ?? { stdout: 1, stderr: 2 };
    switch (type) {
      case "envoy.extensions.access_loggers.file.v3.FileAccessLog": {
        const wire = unpack(type, config);
        return this.#openFile(findTarget(wire, { stdout, stderr }), compileFileFormat(wire, this.#formatOptions()));
      }
      case "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog":
        return this.#openFile({ descriptor: stdout }, compileFormat(unpack(type, config), this.#formatOptions()));
      case "envoy.extensions.access_loggers.stream.v3.StderrAccessLog":
        return this.#openFile({ descriptor: stderr }, compileFormat(unpack(type, config), this.#formatOptions()));
      case "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig":
        return openHttpGrpcLog(unpack(type, config), this.#options);
      case "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig":
        return openTcpGrpcLog(unpack(type, config), this.#options);
      case undefined:
        throw new ConfigError("", `the access logger ${typeNameOf(config.type_url ?? "")} is not supported`);
    }
  }

  #formatOptions(): FormatOptions {
    const { clusters, clock, environment } = this.#options;
    return { clusters, clock, environment };
  }

  #openFile(target: LogTarget, format: TextFormatter): Sink {
    const key = "path" in target ? target.path : String(target.descriptor);
    let file = this.#files.get(key);
    if (file === undefined) {
      file = this.#createFile(target);
      this.#files.set(key, file);
    }
    file.retain();
    const shared = file;
    return {
      write: (entry) => shared.append(format(entry)),
      close: () => {
        if (!shared.release()) return;
        if (this.#files.get(key) === shared) this.#files.delete(key);
        shared.close();
      },
    };
  }

  #createFile(target: LogTarget): LogFile {
    const { flushIntervalMs = 10_000, flushBytes = 64 * 1024 } = this.#options;
    try {
      return new LogFile(target, { ...this.#options, flushIntervalMs, flushBytes });
    } catch (cause: unknown) {
      throw new ConfigError("path", `cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }
}

function unpack<Type extends (typeof accessLogTypes)[number]>(type: Type, config: Any): TypeMap[Type] {
  try {
    return need("", unpackAs(type, config));
  } catch (cause: unknown) {
    if (!(cause instanceof ProtoError)) throw cause;
    throw new ConfigError("", cause.message);
  }
}

/** The standard streams are there anyway: what they are connected to cannot always be opened by their path. */
function findTarget({ path }: FileAccessLog, streams: { readonly stdout: number; readonly stderr: number }): LogTarget {
  if (path === "/dev/stdout") return { descriptor: streams.stdout };
  if (path === "/dev/stderr") return { descriptor: streams.stderr };
  if (path === undefined || path === "") throw new ConfigError("path", "is required");
  return { path };
}

function compileFileFormat(wire: FileAccessLog, options: FormatOptions): TextFormatter {
  const { format, json_format: json, typed_json_format: typedJson } = wire;
  if (format !== undefined && format !== "") return within("format", () => compileTextFormat(format, options));
  const [name, struct] =
    json === undefined ? (["typed_json_format", typedJson] as const) : (["json_format", json] as const);
  if (struct !== undefined) {
    const compiled = within(name, () => compileJsonFormat(struct, options));
    return (entry) => `${JSON.stringify(compiled(entry))}\n`;
  }
  return compileFormat(wire, options);
}

function compileFormat(
  wire: { readonly log_format?: SubstitutionFormatString | undefined },
  options: FormatOptions,
): TextFormatter {
  const { log_format: format } = wire;
  return format === undefined
    ? compileTextFormat(defaultFormat, options)
    : within("log_format", () => compileSubstitution(format, options));
}
