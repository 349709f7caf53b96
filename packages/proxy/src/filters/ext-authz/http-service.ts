/** An authorization service that speaks plain HTTP: the request's head goes there, its status decides. */
import { durationToMs } from "@meltemi/protos";
import type { ExtAuthz, HttpService } from "@meltemi/protos/envoy/extensions/filters/http/ext_authz/v3";
import type { ListStringMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { type CallAnswer, ClusterCallError, callCluster } from "../../calls/cluster-call.ts";
import type { HttpFilterEnv } from "../../config/env.ts";
import { compileTextFormat } from "../../formatter/compile-format.ts";
import { HeaderList } from "../../http/header-list.ts";
import { compileAll, need, within } from "../../lib/config-error.ts";
import { compileListStringMatcher } from "../../matchers/string-matcher.ts";
import { entryOf } from "../../router/header-mutation.ts";
import type { Allowed, AskService, Denied, HeaderAction, HeaderEdit } from "./types.ts";

type Matches = (name: string) => boolean;

interface Answers {
  readonly upstream: Matches;
  readonly upstreamAppended: Matches;
  readonly onSuccess: Matches;
  readonly metadata: Matches;
  /** Of a denial: what clients see. */
  readonly denied: Matches;
}

/** Throws ConfigError. */
export function compileHttpService(service: HttpService, filter: ExtAuthz, env: HttpFilterEnv): AskService {
  const uri = need("server_uri", service.server_uri);
  const cluster = need("server_uri.cluster", uri.cluster);
  const timeoutMs = durationToMs(need("server_uri.timeout", uri.timeout));
  const prefix = service.path_prefix ?? "";
  const isSent = compileSent(service, filter);
  const added = compileAll(
    "authorization_request.headers_to_add",
    service.authorization_request?.headers_to_add,
    ({ key = "", value = "" }) => ({
      name: key.toLowerCase(),
      format: within("value", () => compileTextFormat(value, { clusters: env.clusters, omitsEmpty: true })),
    }),
  );
  const answers = compileAnswers(service);
  return async (question) => {
    const { request } = question.exchange;
    const headers = new HeaderList(["content-length", String(question.body?.bytes.length ?? 0)]);
    for (const name of listNames(request.headers)) {
      if (isSent(name)) headers.append(name, request.headers.joined(name) ?? "");
    }
    if (question.body) headers.set("x-envoy-auth-partial-body", String(question.body.isPartial));
    const entry = entryOf(question.exchange);
    for (const { name, format } of added) {
      const value = format(entry);
      if (value !== "") headers.set(name, value);
    }
    headers.append("x-envoy-internal", "true");
    if (timeoutMs > 0) headers.append("x-envoy-expected-rq-timeout-ms", String(timeoutMs));
    const answer = await callCluster(env, {
      cluster,
      method: request.method,
      authority: request.authority,
      path: prefix + request.path,
      headers,
      body: question.body?.bytes,
      timeoutMs,
      onAbort: (run) => question.exchange.onAbort(run),
    });
    return readAnswer(answer, answers);
  };
}

/** In the order of names, each once. */
function listNames(headers: HeaderList): readonly string[] {
  return [...new Set([...headers].map(([name]) => name))].sort();
}

function compileList(path: string, wire: ListStringMatcher | undefined): Matches {
  return wire ? within(path, () => compileListStringMatcher(wire)) : () => false;
}

function compileSent({ authorization_request: request }: HttpService, filter: ExtAuthz): Matches {
  const isAllowed = compileList("authorization_request.allowed_headers", request?.allowed_headers);
  const isAllowedByFilter = compileList("allowed_headers", filter.allowed_headers);
  const isRefused = compileList("disallowed_headers", filter.disallowed_headers);
  return (name) => {
    if (name === "content-length" || name === "x-envoy-internal") return false;
    return !isRefused(name) && (name === "authorization" || isAllowed(name) || isAllowedByFilter(name));
  };
}

function compileAnswers({ authorization_response: wire = {} }: HttpService): Answers {
  const at = (field: keyof typeof wire): Matches => compileList(`authorization_response.${field}`, wire[field]);
  const denied = wire.allowed_client_headers ? at("allowed_client_headers") : () => true;
  return {
    upstream: at("allowed_upstream_headers"),
    upstreamAppended: at("allowed_upstream_headers_to_append"),
    onSuccess: at("allowed_client_headers_on_success"),
    metadata: at("dynamic_metadata_from_headers"),
    denied: (name) => alwaysToClients.has(name) || denied(name),
  };
}

const alwaysToClients = new Set(["www-authenticate", "location", "proxy-authenticate"]);
/** The proxy says these itself. */
const neverToClients = new Set(["content-length", "transfer-encoding", "connection", "date", "server", "keep-alive"]);
const removedHeader = "x-envoy-auth-headers-to-remove";

function readAnswer(answer: CallAnswer, answers: Answers): Allowed | Denied {
  const { status, headers } = answer;
  if (status >= 500) throw new ClusterCallError(`status ${status}`);
  const metadata = collectMetadata(headers, answers.metadata);
  if (status !== 200) {
    const shown = new HeaderList();
    for (const [name, value] of headers) {
      if (!neverToClients.has(name) && answers.denied(name)) shown.append(name, value);
    }
    return { kind: "denied", status, body: Buffer.from(answer.body).toString("utf8"), headers: shown, metadata };
  }
  const removed = headers.getAll(removedHeader).flatMap((value) => value.split(","));
  return {
    kind: "allowed",
    requestEdits: [
      ...collectEdits(headers, answers.upstream, "set"),
      ...collectEdits(headers, answers.upstreamAppended, "append"),
    ],
    removed: removed.map((name) => name.trim().toLowerCase()).filter((name) => name !== ""),
    responseEdits: collectEdits(headers, answers.onSuccess, "append"),
    parametersSet: [],
    parametersRemoved: [],
    metadata,
  };
}

function collectEdits(headers: HeaderList, matches: Matches, action: HeaderAction): readonly HeaderEdit[] {
  return [...headers].flatMap(([name, value]) =>
    name !== removedHeader && matches(name) ? [{ action, name, value }] : [],
  );
}

function collectMetadata(headers: HeaderList, matches: Matches): Record<string, unknown> | undefined {
  const found = [...headers].filter(([name]) => matches(name));
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
