/** Operators about the course of a request or connection: codes, flags, bytes, times, names. */
import type { LogEntry } from "../access-log/types.ts";
import { type ResponseFlag, responseFlags } from "../http/response-flags.ts";
import type { StreamInfo } from "../http/stream-info.ts";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { compileTimeFormat, isoTimeFormat } from "./format-time.ts";
import {
  type CompileOperator,
  needArgument,
  type OperatorTable,
  orAbsent,
  plain,
  withoutSpaces,
} from "./operator-table.ts";
import type { Operator } from "./types.ts";

/** Of the request, in words: "UpstreamConnectionFailure". */
const longFlags = new Map<ResponseFlag, string>(
  flagNames().map((flag) => [flag, flag === "OM" ? "OverloadManagerTerminated" : toCamelCase(responseFlags[flag])]),
);

function flagNames(): readonly ResponseFlag[] {
  return Object.keys(responseFlags).filter((flag): flag is ResponseFlag => flag in responseFlags);
}

function toCamelCase(words: string): string {
  return words.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function formatFlags({ responseFlags: set }: StreamInfo, name: (flag: ResponseFlag) => string): string {
  // A value of its own, also in JSON.
  if (set.size === 0) return "-";
  return Array.from(set, name).join(",");
}

/** Points in time that StreamInfo has, by Envoy's names; of the monotonic clock. */
const points: Readonly<Record<string, (info: StreamInfo) => number | undefined>> = {
  DS_CX_BEG: ({ connection }) => connection.info.startedAt,
  DS_RX_BEG: ({ startedAt }) => startedAt,
  DS_RX_END: ({ requestReceivedAt }) => requestReceivedAt,
  US_TX_BEG: ({ upstreamRequestSentAt }) => upstreamRequestSentAt,
  US_TX_END: ({ upstreamRequestSentAt }) => upstreamRequestSentAt,
  US_RX_BEG: ({ upstreamResponseAt }) => upstreamResponseAt,
  US_RX_END: ({ upstreamResponseEndAt }) => upstreamResponseEndAt,
  DS_TX_BEG: ({ responseStartedAt }) => responseStartedAt,
  DS_TX_END: ({ endedAt }) => endedAt,
};
const perMs: Readonly<Record<string, number>> = { ms: 1, us: 1e3, ns: 1e6 };

function compileCommonDuration(argument: string | undefined): Operator {
  const [from = "", to = "", unit = "ms"] = needArgument(argument).split(":");
  const [begin, end, factor] = [points[from], points[to], perMs[unit]];
  if (begin === undefined || end === undefined) {
    throw new ConfigError("", `"${begin === undefined ? from : to}" is none of ${Object.keys(points).join(", ")}`);
  }
  if (factor === undefined) throw new ConfigError("", `"${unit}" is none of ms, us, ns`);
  return ({ info }) => between(begin(info), end(info), factor);
}

function between(from: number | undefined, to: number | undefined, factor = 1): number | undefined {
  return from === undefined || to === undefined ? undefined : Math.max(0, Math.floor((to - from) * factor));
}

function compileStartTime(argument: string | undefined): Operator {
  const format = compileTimeFormat(argument ?? isoTimeFormat);
  return ({ info }) => format(info.startTime);
}

const compileEmitTime: CompileOperator = (argument, { clock = systemClock }) => {
  const format = compileTimeFormat(argument ?? isoTimeFormat);
  return () => format(clock.now());
};

function compileDetails(argument: string | undefined): Operator {
  if (argument !== undefined && argument !== "ALLOW_WHITESPACES")
    throw new ConfigError("", `does not take "${argument}"`);
  return argument === undefined
    ? ({ info }) => orAbsent(withoutSpaces(info.responseCodeDetails))
    : ({ info }) => orAbsent(info.responseCodeDetails);
}

/** An operator that reads StreamInfo only. */
function ofInfo(read: (info: StreamInfo) => unknown): CompileOperator {
  return plain(({ info }: LogEntry) => read(info));
}

export const streamOperators: OperatorTable = {
  PROTOCOL: ofInfo(({ protocol }) => protocol),
  RESPONSE_CODE: ofInfo(({ responseCode }) => responseCode ?? 0),
  RESPONSE_CODE_DETAILS: compileDetails,
  CONNECTION_TERMINATION_DETAILS: ofInfo(({ connectionTerminationDetails: details }) => orAbsent(details)),
  RESPONSE_FLAGS: ofInfo((info) => formatFlags(info, (flag) => flag)),
  RESPONSE_FLAGS_LONG: ofInfo((info) => formatFlags(info, (flag) => longFlags.get(flag) ?? flag)),
  BYTES_RECEIVED: ofInfo(({ bytesReceived }) => bytesReceived),
  BYTES_SENT: ofInfo(({ bytesSent }) => bytesSent),
  UPSTREAM_WIRE_BYTES_RECEIVED: ofInfo(({ upstreamBytesReceived }) => upstreamBytesReceived),
  UPSTREAM_WIRE_BYTES_SENT: ofInfo(({ upstreamBytesSent }) => upstreamBytesSent),
  DURATION: ofInfo((info) => between(info.startedAt, info.endedAt)),
  REQUEST_DURATION: ofInfo((info) => between(info.startedAt, info.requestReceivedAt)),
  REQUEST_TX_DURATION: ofInfo((info) => between(info.startedAt, info.upstreamRequestSentAt)),
  RESPONSE_DURATION: ofInfo((info) => between(info.startedAt, info.upstreamResponseAt)),
  RESPONSE_TX_DURATION: ofInfo((info) => between(info.upstreamResponseAt, info.endedAt)),
  COMMON_DURATION: compileCommonDuration,
  START_TIME: compileStartTime,
  EMIT_TIME: compileEmitTime,
  ROUTE_NAME: ofInfo(({ routeName }) => orAbsent(routeName)),
  VIRTUAL_CLUSTER_NAME: ofInfo(({ virtualCluster }) => orAbsent(virtualCluster)),
  VIRTUAL_HOST_NAME: ofInfo(({ virtualHostName }) => orAbsent(virtualHostName)),
  CONNECTION_ID: ofInfo(({ connection }) => connection.id),
  STREAM_ID: ofInfo(({ requestId }) => orAbsent(requestId)),
  // Nothing here sets any: Envoy's own filters do not either.
  CUSTOM_FLAGS: ofInfo(() => ""),
};
