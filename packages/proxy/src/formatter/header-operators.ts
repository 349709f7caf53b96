/** Operators that read heads and trailers of messages. */
import { randomUUID } from "node:crypto";
import type { LogEntry } from "../access-log/types.ts";
import { inlineRequestHeaders, inlineResponseHeaders } from "../http/inline-headers.ts";
import { isGrpcType } from "../http/rescue.ts";
import { ConfigError } from "../lib/config-error.ts";
import { formatGrpcStatus, type GrpcStatusForm, grpcStatusOf } from "./grpc-status.ts";
import { type CompileOperator, needArgument, type OperatorTable, plain } from "./operator-table.ts";
import type { Operator } from "./types.ts";

/** The value of a request's header, pseudo headers included; the first of several lines, unless Envoy takes them for one. */
function readRequestHeader(name: string): (entry: LogEntry) => string | undefined {
  switch (name) {
    case ":method":
      return ({ request }) => request?.method;
    case ":path":
      return ({ request }) => request?.path;
    case ":scheme":
      return ({ request }) => request?.scheme;
    case ":authority":
    case "host":
      return ({ request }) => request?.authority;
    default:
      return inlineRequestHeaders.has(name)
        ? ({ request }) => request?.headers.joined(name)
        : ({ request }) => request?.headers.get(name);
  }
}

function readResponseHeader(name: string): (entry: LogEntry) => string | undefined {
  if (name === ":status") return ({ info }) => info.responseCode?.toString();
  if (inlineResponseHeaders.has(name)) return ({ responseHeaders }) => responseHeaders?.joined(name);
  return ({ responseHeaders }) => responseHeaders?.get(name);
}

function readTrailer(name: string): (entry: LogEntry) => string | undefined {
  return ({ responseTrailers }) => responseTrailers?.get(name);
}

type ReadHeader = (name: string) => (entry: LogEntry) => string | undefined;

/** "NAME", or "NAME?OTHER" where the other stands in for one that is absent or empty. */
function compileHeader(read: ReadHeader): CompileOperator {
  return (argument) => {
    const [name = "", other, ...rest] = needArgument(argument).toLowerCase().split("?");
    if (rest.length > 0 || name === "") throw new ConfigError("", "takes a name and at most one other");
    const readFirst = read(name);
    if (other === undefined) return readFirst;
    const readOther = read(other);
    return (entry) => readFirst(entry) || readOther(entry);
  };
}

function withoutQuery(compile: CompileOperator): CompileOperator {
  return (argument, options) => {
    const read = compile(argument, options);
    return (entry) => {
      const value = read(entry);
      return typeof value === "string" ? cutQuery(value) : value;
    };
  };
}

function cutQuery(path: string): string {
  const end = path.indexOf("?");
  return end < 0 ? path : path.slice(0, end);
}

const readOriginalPath = readRequestHeader("x-envoy-original-path");
const pathReaders: Readonly<Record<string, (entry: LogEntry) => string | undefined>> = {
  PATH: ({ request }) => request?.path,
  ORIG: readOriginalPath,
  ORIG_OR_PATH: (entry) => readOriginalPath(entry) || entry.request?.path,
};

/** With (WQ) or without (NQ) query, by default the original path where there is one. */
function compilePath(argument: string | undefined): Operator {
  const [query = "WQ", which = "ORIG_OR_PATH", ...rest] = (argument ?? "").split(":");
  const read = pathReaders[which];
  if (read === undefined || rest.length > 0)
    throw new ConfigError("", `"${which}" is none of PATH, ORIG, ORIG_OR_PATH`);
  if (query === "" || query === "WQ") return read;
  if (query !== "NQ") throw new ConfigError("", `"${query}" is none of WQ, NQ`);
  return (entry) => {
    const path = read(entry);
    return path === undefined ? undefined : cutQuery(path);
  };
}

function compileQueryParameter(argument: string | undefined): Operator {
  const name = needArgument(argument);
  return ({ request }) => {
    const start = request?.path.indexOf("?") ?? -1;
    if (request === undefined || start < 0) return undefined;
    return new URLSearchParams(request.path.slice(start + 1)).get(name) ?? undefined;
  };
}

const grpcForms: readonly string[] = ["CAMEL_STRING", "SNAKE_STRING", "NUMBER"] satisfies readonly GrpcStatusForm[];

function isGrpcForm(text: string): text is GrpcStatusForm {
  return grpcForms.includes(text);
}

function compileGrpcStatus(argument: string | undefined): Operator {
  const form = argument ?? "CAMEL_STRING";
  if (!isGrpcForm(form)) throw new ConfigError("", `"${form}" is none of ${grpcForms.join(", ")}`);
  return (entry) => {
    const status = readGrpcStatus(entry);
    return status === undefined ? undefined : formatGrpcStatus(status, form);
  };
}

function readGrpcStatus(entry: LogEntry): number | undefined {
  return isGrpcType(entry.request?.headers.get("content-type")) ? grpcStatusOf(entry) : undefined;
}

export const headerOperators: OperatorTable = {
  REQ: compileHeader(readRequestHeader),
  RESP: compileHeader(readResponseHeader),
  TRAILER: compileHeader(readTrailer),
  REQ_WITHOUT_QUERY: withoutQuery(compileHeader(readRequestHeader)),
  PATH: compilePath,
  QUERY_PARAM: compileQueryParameter,
  GRPC_STATUS: compileGrpcStatus,
  GRPC_STATUS_NUMBER: plain(readGrpcStatus),
  LOCAL_REPLY_BODY: plain(({ localReplyBody }) => localReplyBody ?? ""),
  UNIQUE_ID: plain(() => randomUUID()),
  ACCESS_LOG_TYPE: plain((entry) => entry.type ?? (entry.request === undefined ? "TcpConnectionEnd" : "DownstreamEnd")),
  TRACE_ID: plain(({ info, span }) => info.traceId || span?.traceId),
  SPAN_ID: plain(({ span }) => span?.spanId),
};
