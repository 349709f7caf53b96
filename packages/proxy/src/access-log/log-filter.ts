/** Which requests a log is written for. */
import type {
  AccessLogFilter,
  ComparisonFilter,
  MetadataFilter,
  RuntimeFilter,
} from "@meltemi/protos/envoy/config/accesslog/v3";
import type { Runtime } from "../config/runtime.ts";
import { grpcStatusOf, parseGrpcStatus } from "../formatter/grpc-status.ts";
import { type ResponseFlag, responseFlags } from "../http/response-flags.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { compileMetadataMatcher } from "../matchers/metadata-matcher.ts";
import { isTraceable } from "./traceable.ts";
import type { LogEntry } from "./types.ts";

export interface LogFilterEnv {
  readonly runtime: Runtime;
  /** At least 0 and less than 1. */
  readonly random: () => number;
}

export type LogFilter = (entry: LogEntry) => boolean;

/** Throws ConfigError. No filter lets everything through. */
export function compileLogFilter(wire: AccessLogFilter | undefined, env: LogFilterEnv): LogFilter {
  if (wire === undefined) return () => true;
  for (const [kind, compile] of Object.entries(filters)) {
    const filter = within(kind, () => compile(wire, env));
    if (filter !== undefined) return filter;
  }
  throw new ConfigError("", "one kind of filter is required");
}

type CompileFilter = (wire: AccessLogFilter, env: LogFilterEnv) => LogFilter | undefined;

const filters: Readonly<Record<string, CompileFilter>> = {
  status_code_filter: ({ status_code_filter: wire }, env) => {
    if (wire === undefined) return undefined;
    const compare = compileComparison(wire.comparison, env);
    return ({ info }) => compare(info.responseCode ?? 0);
  },
  duration_filter: ({ duration_filter: wire }, env) => {
    if (wire === undefined) return undefined;
    const compare = compileComparison(wire.comparison, env);
    return ({ info }) => info.endedAt !== undefined && compare(Math.floor(info.endedAt - info.startedAt));
  },
  not_health_check_filter: ({ not_health_check_filter: wire }) =>
    wire === undefined ? undefined : ({ info }) => !info.isHealthCheck,
  traceable_filter: ({ traceable_filter: wire }) =>
    wire === undefined ? undefined : (entry) => !entry.info.isHealthCheck && isTraceable(entry),
  runtime_filter: ({ runtime_filter: wire }, env) => (wire === undefined ? undefined : compileRuntime(wire, env)),
  and_filter: ({ and_filter: wire }, env) => {
    if (wire === undefined) return undefined;
    const all = compileAll("filters", wire.filters, (one) => compileLogFilter(one, env));
    return (entry) => all.every((filter) => filter(entry));
  },
  or_filter: ({ or_filter: wire }, env) => {
    if (wire === undefined) return undefined;
    const all = compileAll("filters", wire.filters, (one) => compileLogFilter(one, env));
    return (entry) => all.some((filter) => filter(entry));
  },
  header_filter: ({ header_filter: wire }) => {
    if (wire === undefined) return undefined;
    const matches = within("header", () => compileHeaderMatcher(need("", wire.header)));
    return ({ request }) => request !== undefined && matches(request);
  },
  response_flag_filter: ({ response_flag_filter: wire }) =>
    wire === undefined ? undefined : compileFlags(wire.flags ?? []),
  grpc_status_filter: ({ grpc_status_filter: wire }) => {
    if (wire === undefined) return undefined;
    const statuses = new Set((wire.statuses ?? []).map(parseGrpcStatus));
    return (entry) => statuses.has(grpcStatusOf(entry) ?? -1) !== (wire.exclude === true);
  },
  metadata_filter: ({ metadata_filter: wire }) => (wire === undefined ? undefined : compileMetadata(wire)),
  log_type_filter: ({ log_type_filter: wire }) => {
    if (wire === undefined) return undefined;
    const types = new Set(wire.types);
    return (entry) => types.has(typeOf(entry)) !== (wire.exclude === true);
  },
  extension_filter: ({ extension_filter: wire }) => {
    if (wire !== undefined) throw new ConfigError("", `the filter ${wire.name ?? ""} is not supported`);
    return undefined;
  },
};

function typeOf({ type, request }: LogEntry): NonNullable<LogEntry["type"]> {
  return type ?? (request === undefined ? "TcpConnectionEnd" : "DownstreamEnd");
}

function compileComparison(wire: ComparisonFilter | undefined, { runtime }: LogFilterEnv): (value: number) => boolean {
  const { op = "EQ", value } = need("comparison", wire);
  const { default_value: fallback = 0, runtime_key: key = "" } = need("comparison.value", value);
  const read = key === "" ? () => fallback : () => runtime.number(key, fallback);
  if (op === "GE") return (given) => given >= read();
  return op === "LE" ? (given) => given <= read() : (given) => given === read();
}

function compileFlags(flags: readonly string[]): LogFilter {
  const unknown = flags.find((flag) => !Object.hasOwn(responseFlags, flag));
  if (unknown !== undefined) throw new ConfigError("flags", `"${unknown}" is no response flag`);
  if (flags.length === 0) return ({ info }) => info.responseFlags.size > 0;
  return ({ info }) => flags.some((flag) => info.responseFlags.has(flag as ResponseFlag));
}

/** A part of all requests: by the request id, so that all proxies choose the same ones, or at random. */
function compileRuntime(wire: RuntimeFilter, { runtime, random }: LogFilterEnv): LogFilter {
  const fraction = { runtime_key: wire.runtime_key, default_value: wire.percent_sampled ?? { numerator: 0 } };
  return ({ request }) => {
    const id = wire.use_independent_randomness === true ? undefined : request?.headers.get("x-request-id");
    const part = id === undefined ? Number.NaN : Number.parseInt(id.slice(0, 8), 16);
    return runtime.isChosen(fraction, Number.isNaN(part) ? random() : (part % 10_000) / 10_000);
  };
}

/** Requests without the key are logged unless the configuration says otherwise. */
function compileMetadata(wire: MetadataFilter): LogFilter {
  const { matcher } = wire;
  if (matcher === undefined) return () => wrappedBool(wire.match_if_key_not_found, true);
  const matches = within("matcher", () => compileMetadataMatcher(matcher));
  return ({ info }) => {
    let value: unknown = info.dynamicMetadata.get(matcher.filter ?? "");
    for (const { key = "" } of matcher.path ?? []) {
      value =
        typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
    }
    return value === undefined ? wrappedBool(wire.match_if_key_not_found, true) : matches(info.dynamicMetadata);
  };
}
