/** Access logs: one line for each request or connection, when it is over. */
import type { AccessLog } from "@meltemi/protos/envoy/config/accesslog/v3";
import type { AccessLogType } from "@meltemi/protos/envoy/data/accesslog/v3";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import type { StreamInfo } from "../http/stream-info.ts";
import type { Span } from "../tracing/types.ts";

/** What a line can be made of. Requests have a head, connections of bytes do not. */
export interface LogEntry {
  readonly info: StreamInfo;
  /** The request as it was sent on: after the filters' changes. */
  readonly request?: HttpRequest | undefined;
  readonly responseHeaders?: HeaderList | undefined;
  readonly responseTrailers?: HeaderList | undefined;
  readonly localReplyBody?: string | undefined;
  /** metadata.filter_metadata of the route that was found, as JSON. */
  readonly routeMetadata?: Readonly<Record<string, unknown>> | undefined;
  /** That of the request, where it is traced. */
  readonly span?: Span | undefined;
  /** What the line is about; where not given: the end of the request, or of the connection where there is none. */
  readonly type?: AccessLogType | undefined;
}

export interface AccessLogger {
  log(entry: LogEntry): void;
  close(): void;
}

export interface AccessLogFactory {
  /** Compiles a list; throws ConfigError. Loggers to the same file share it. */
  compile(config: readonly AccessLog[] | undefined): AccessLogger;
  /** Writes out what is buffered, opens files anew (USR1, /reopen_logs). */
  reopen(): void;
  close(): Promise<void>;
}
