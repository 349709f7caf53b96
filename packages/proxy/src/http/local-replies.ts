/** Answers that the proxy gives itself: local_reply_config, and gRPC's form of them for clients that speak gRPC. */

import type { SubstitutionFormatString } from "@meltemi/protos/envoy/config/core/v3";
import type {
  LocalReplyConfig,
  ResponseMapper,
} from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { compileLogFilter, type LogFilter } from "../access-log/log-filter.ts";
import type { LogEntry } from "../access-log/types.ts";
import type { NetworkFilterEnv } from "../config/env.ts";
import { compileSubstitution } from "../formatter/compile-format.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { readDataSource } from "../router/data-source.ts";
import { compileHeaderMutation, type HeaderMutation } from "../router/header-mutation.ts";
import { bodyOf } from "./body.ts";
import type { LocalReply } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";
import type { HttpRequest, HttpResponse } from "./message.ts";
import { encodeGrpcMessage, grpcStatusOf, isGrpcType } from "./rescue.ts";
import type { StreamInfo } from "./stream-info.ts";

export interface ReplyTarget {
  readonly info: StreamInfo;
  /** Undefined where its head could not be read. */
  readonly request: HttpRequest | undefined;
}

export type RenderReply = (reply: LocalReply, target: ReplyTarget) => HttpResponse;

interface Body {
  readonly text: string;
  readonly type: string;
}

type FormatBody = (entry: LogEntry) => Body;

interface Mapper {
  readonly filter: LogFilter;
  readonly status: number | undefined;
  readonly body: string | undefined;
  readonly format: FormatBody | undefined;
  readonly mutation: HeaderMutation | undefined;
}

/** Throws ConfigError. */
export function compileLocalReplies(wire: LocalReplyConfig = {}, env: NetworkFilterEnv): RenderReply {
  const mappers = compileAll("mappers", wire.mappers, (mapper) => compileMapper(mapper, env));
  const format = wire.body_format && within("body_format", () => compileBody(wire.body_format ?? {}, env));
  if (mappers.length === 0 && format === undefined) return (reply, target) => finish(reply, target, plain(reply));
  return (reply, { info, request }) => {
    const text = reply.body ?? "";
    info.responseCode = reply.status;
    const headers = reply.headers?.clone() ?? new HeaderList();
    const entry: LogEntry = { info, request, responseHeaders: headers };
    const mapper = mappers.find(({ filter }) => filter(entry));
    const formerType = headers.get("content-type");
    // Headers tell the status as it was; only the body, which is made last, tells the mapped one.
    mapper?.mutation?.(headers, entry);
    const status = mapper?.status ?? reply.status;
    info.responseCode = status;
    const ownText = mapper?.body ?? text;
    const render = mapper?.format ?? format;
    const body = render?.({ ...entry, localReplyBody: ownText }) ?? { ...plain(reply), text: ownText };
    // The type that came with the reply is of its own text; that of a mapper's headers is of whatever is sent.
    if (body.text !== text && headers.get("content-type") === formerType) headers.remove("content-type");
    return finish({ ...reply, status, headers }, { info, request }, body);
  };
}

function compileMapper(wire: ResponseMapper, env: NetworkFilterEnv): Mapper {
  if (wire.filter === undefined) throw new ConfigError("filter", "is required");
  const { body_format_override: override, body } = wire;
  return {
    filter: within("filter", () => compileLogFilter(wire.filter, env)),
    status: wire.status_code?.value,
    body: body && within("body", () => Buffer.from(readDataSource(body)).toString("utf8")),
    format: override && within("body_format_override", () => compileBody(override, env)),
    mutation: compileHeaderMutation(wire.headers_to_add, [], "response"),
  };
}

function compileBody(wire: SubstitutionFormatString, { clusters, clock }: NetworkFilterEnv): FormatBody {
  const format = compileSubstitution(wire, { clusters, clock });
  const usual = wire.json_format === undefined ? "text/plain" : "application/json";
  const type = wire.content_type === undefined || wire.content_type === "" ? usual : wire.content_type;
  return (entry) => ({ text: format(entry), type });
}

function plain({ body = "" }: LocalReply): Body {
  return { text: body, type: "text/plain" };
}

/** The answer in the client's protocol: trailers-only with status 200 for gRPC. */
function finish(reply: LocalReply, { request }: ReplyTarget, { text, type }: Body): HttpResponse {
  const added = reply.headers;
  if (isGrpcType(request?.headers.get("content-type"))) return finishGrpc(reply, text);
  const headers = new HeaderList();
  const bytes = text === "" ? undefined : Buffer.from(text, "utf8");
  if (bytes !== undefined) {
    headers.append("content-length", String(bytes.length));
    headers.append("content-type", added?.get("content-type") ?? type);
  }
  if (added !== undefined) {
    for (const [name, value] of added) {
      if (name !== "content-length" && name !== "content-type") headers.append(name, value);
    }
  }
  return { status: reply.status, headers, body: bytes && bodyOf(bytes) };
}

function finishGrpc(reply: LocalReply, text: string): HttpResponse {
  const status = reply.grpcStatus ?? grpcStatusOf(reply.status);
  const headers = new HeaderList(["content-type", "application/grpc", "grpc-status", String(status)]);
  if (text !== "") headers.append("grpc-message", encodeGrpcMessage(text));
  for (const [name, value] of reply.headers ?? []) {
    if (name !== "content-length" && name !== "content-type") headers.append(name, value);
  }
  return { status: 200, headers, body: undefined };
}
