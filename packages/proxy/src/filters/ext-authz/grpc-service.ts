/** An authorization service that speaks envoy.service.auth.v3.Authorization. */

import type { Json } from "@meltemi/protos";
import { decode, encode, struct, structToJson } from "@meltemi/protos";
import type { HeaderValueOption, Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { ExtAuthz } from "@meltemi/protos/envoy/extensions/filters/http/ext_authz/v3";
import type {
  AttributeContext,
  AttributeContext_HttpRequest,
  AttributeContext_Peer,
  CheckResponse,
} from "@meltemi/protos/envoy/service/auth/v3";
import { callGrpc, compileGrpcTarget } from "../../calls/grpc-call.ts";
import type { HttpFilterEnv } from "../../config/env.ts";
import type { Exchange } from "../../http/exchange.ts";
import { HeaderList } from "../../http/header-list.ts";
import { need, within } from "../../lib/config-error.ts";
import type { Address } from "../../listeners/connection.ts";
import { compileListStringMatcher } from "../../matchers/string-matcher.ts";
import { statusOf } from "../http-status.ts";
import type { Allowed, AskService, Denied, HeaderAction, HeaderEdit, Question } from "./types.ts";
import { editHeaders } from "./types.ts";

const defaultTimeoutMs = 200;

/** Throws ConfigError. */
export function compileGrpcService(filter: ExtAuthz, env: HttpFilterEnv): AskService {
  const service = need("grpc_service", filter.grpc_service);
  const target = within("grpc_service", () => compileGrpcTarget(service, defaultTimeoutMs));
  const isSent = compileSent(filter);
  const labels = readLabels(filter, env);
  return async (question) => {
    const attributes = describe(question, { filter, isSent, labels, nowMs: env.clock.now() });
    const bytes = await callGrpc(env, {
      target,
      path: "/envoy.service.auth.v3.Authorization/Check",
      message: encode("envoy.service.auth.v3.CheckRequest", { attributes }),
      onAbort: (run) => question.exchange.onAbort(run),
    });
    return readAnswer(decode("envoy.service.auth.v3.CheckResponse", bytes));
  };
}

function compileSent({ allowed_headers: allowed, disallowed_headers: refused }: ExtAuthz): (name: string) => boolean {
  const isAllowed = allowed ? within("allowed_headers", () => compileListStringMatcher(allowed)) : () => true;
  const isRefused = refused ? within("disallowed_headers", () => compileListStringMatcher(refused)) : () => false;
  return (name) => isAllowed(name) && !isRefused(name);
}

function readLabels(
  { bootstrap_metadata_labels_key: key }: ExtAuthz,
  { node }: HttpFilterEnv,
): Readonly<Record<string, string>> {
  const labels = key && node.metadata ? structToJson(node.metadata)[key] : undefined;
  if (typeof labels !== "object" || labels === null || Array.isArray(labels)) return {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

interface DescribeOptions {
  readonly filter: ExtAuthz;
  readonly isSent: (name: string) => boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

function describe(question: Question, options: DescribeOptions): AttributeContext {
  const { exchange, contextExtensions } = question;
  const { filter } = options;
  const { connection, info, request } = exchange;
  const { tls } = connection;
  const sourceService = request.headers.get("x-envoy-downstream-service-cluster");
  return {
    source: {
      ...describePeer(
        info.remoteAddress ?? connection.remoteAddress,
        tls?.peer?.uriSans[0] ?? tls?.peer?.dnsSans[0] ?? tls?.peer?.subject,
      ),
      ...(sourceService === undefined ? {} : { service: sourceService }),
      ...(filter.include_peer_certificate && tls?.peer ? { certificate: encodeURIComponent(tls.peer.pem) } : {}),
    },
    destination: {
      ...describePeer(connection.localAddress, tls?.local?.uriSans[0] ?? tls?.local?.dnsSans[0] ?? tls?.local?.subject),
      labels: options.labels,
    },
    request: {
      time: { seconds: Math.trunc(options.nowMs / 1000), nanos: (options.nowMs % 1000) * 1e6 },
      http: describeRequest(question, options),
    },
    context_extensions: contextExtensions,
    metadata_context: collectMetadata(exchange, filter.metadata_context_namespaces),
    route_metadata_context: pickMetadata(exchange.route?.metadata ?? {}, filter.route_metadata_context_namespaces),
    ...(filter.include_tls_session && tls ? { tls_session: { sni: tls.sni } } : {}),
  };
}

function describePeer({ ip, port }: Address, principal: string | undefined): AttributeContext_Peer {
  const isPipe = port === 0 && ip.includes("/");
  const address = isPipe ? { pipe: { path: ip } } : { socket_address: { address: ip, port_value: port } };
  return principal === undefined ? { address } : { address, principal };
}

function describeRequest(
  { exchange, body }: Question,
  { filter, isSent }: DescribeOptions,
): AttributeContext_HttpRequest {
  const { request, info } = exchange;
  const pairs = listHeaders(exchange).filter(([name]) => isSent(name));
  if (body) pairs.push(["x-envoy-auth-partial-body", String(body.isPartial)]);
  const packsBytes = filter.with_request_body?.pack_as_bytes === true;
  return {
    id: info.requestId,
    method: request.method,
    path: request.path,
    host: request.authority,
    scheme: request.scheme,
    protocol: request.protocol,
    size: info.bytesReceived,
    ...(filter.encode_raw_headers
      ? { header_map: { headers: pairs.map(([key, value]) => ({ key, raw_value: Buffer.from(value, "latin1") })) } }
      : { headers: joinHeaders(pairs) }),
    ...(body && packsBytes ? { raw_body: body.bytes } : {}),
    ...(body && !packsBytes ? { body: Buffer.from(body.bytes).toString("utf8") } : {}),
  };
}

function listHeaders({ request }: Exchange): [name: string, value: string][] {
  const { authority, method, path, scheme, headers } = request;
  const pseudo: [string, string][] = [
    [":authority", authority],
    [":path", path],
    [":method", method],
    [":scheme", scheme],
  ];
  return [
    ...pseudo.filter(([, value]) => value !== ""),
    ...[...headers].map(([name, value]): [string, string] => [name, value]),
  ];
}

function joinHeaders(pairs: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  const joined: Record<string, string> = {};
  for (const [name, value] of pairs) joined[name] = joined[name] === undefined ? value : `${joined[name]},${value}`;
  return joined;
}

function collectMetadata({ connection, info }: Exchange, names: readonly string[] | undefined): Metadata {
  const all = { ...Object.fromEntries(connection.info.dynamicMetadata), ...Object.fromEntries(info.dynamicMetadata) };
  return pickMetadata(all, names);
}

function pickMetadata(all: Readonly<Record<string, unknown>>, names: readonly string[] | undefined): Metadata {
  const found = (names ?? []).flatMap((name) => {
    const value = all[name];
    return value === undefined ? [] : [[name, struct(value as { readonly [key: string]: Json })] as const];
  });
  return { filter_metadata: Object.fromEntries(found) };
}

function readAnswer(answer: CheckResponse): Allowed | Denied {
  const { ok_response: ok = {}, denied_response: denied = {}, status } = answer;
  const given = answer.dynamic_metadata ?? ok.dynamic_metadata;
  const metadata = given && { ...structToJson(given) };
  if ((status?.code ?? 0) !== 0) {
    const headers = new HeaderList();
    editHeaders(
      headers,
      (denied.headers ?? []).map((option) => readEdit(option, "set")),
    );
    return { kind: "denied", status: statusOf(denied.status) ?? 403, body: denied.body ?? "", headers, metadata };
  }
  return {
    kind: "allowed",
    requestEdits: (ok.headers ?? []).map((option) => readEdit(option, "set")),
    removed: (ok.headers_to_remove ?? []).map((name) => name.toLowerCase()),
    responseEdits: (ok.response_headers_to_add ?? []).map((option) => readEdit(option, "append")),
    parametersSet: (ok.query_parameters_to_set ?? []).map(({ key = "", value = "" }) => ({ key, value })),
    parametersRemoved: ok.query_parameters_to_remove ?? [],
    metadata,
  };
}

const actions = {
  ADD_IF_ABSENT: "add-if-absent",
  OVERWRITE_IF_EXISTS_OR_ADD: "set",
  OVERWRITE_IF_EXISTS: "set-if-there",
} as const satisfies Readonly<Record<string, HeaderAction>>;

/** What services that say neither how mean is not the same for requests and responses. */
function readEdit(
  { header = {}, append, append_action: action }: HeaderValueOption,
  otherwise: HeaderAction,
): HeaderEdit {
  const name = (header.key ?? "").toLowerCase();
  const value = header.value || Buffer.from(header.raw_value ?? []).toString("latin1");
  if (append) return { action: append.value ? "append" : "set", name, value };
  const isGiven = action !== undefined && action !== "APPEND_IF_EXISTS_OR_ADD";
  return { action: isGiven ? actions[action] : otherwise, name, value };
}
