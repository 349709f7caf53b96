/** Asks a service whether requests may go on. */

import type {
  BufferSettings,
  ExtAuthz,
  ExtAuthzPerRoute,
} from "@meltemi/protos/envoy/extensions/filters/http/ext_authz/v3";
import { ClusterCallError } from "../../calls/cluster-call.ts";
import type { HttpFilterEnv } from "../../config/env.ts";
import { type Exchange, type HttpFilterFactory, type HttpHandler, LocalReplyError } from "../../http/exchange.ts";
import type { HttpResponse } from "../../http/message.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { Counter } from "../../lib/stats.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import { compileMetadataMatcher } from "../../matchers/metadata-matcher.ts";
import { withAnswer } from "../answer.ts";
import { statusOf } from "../http-status.ts";
import { payloadTooLarge } from "../payload-too-large.ts";
import { peekBody } from "../peek-body.ts";
import { removeParameter, setParameter } from "../query-string.ts";
import { compileGrpcService } from "./grpc-service.ts";
import { compileHttpService } from "./http-service.ts";
import { type Allowed, type AskService, type Denied, editHeaders, type Question } from "./types.ts";

/** What a level of the route table says. */
interface RouteChoice {
  readonly isDisabled: boolean;
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** Undefined: as the filter says. */
  readonly body: BufferSettings | "none" | undefined;
}

interface Settings {
  readonly wire: ExtAuthz;
  readonly env: HttpFilterEnv;
  readonly ask: AskService;
  readonly errorStatus: number;
  readonly isEnabled: (exchange: Exchange) => boolean;
  readonly counters: Readonly<Record<StatName, Counter>>;
}

type StatName = "ok" | "denied" | "error" | "disabled" | "failure_mode_allowed";

export const extAuthzFactory: HttpFilterFactory<ExtAuthz, RouteChoice> = {
  name: "envoy.filters.http.ext_authz",
  type: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
  routeTypes: ["envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"],
  compileRoute(config) {
    const { disabled = false, check_settings: check } = config as ExtAuthzPerRoute;
    return {
      isDisabled: disabled,
      contextExtensions: check?.context_extensions ?? {},
      body: check?.disable_request_body_buffering ? "none" : check?.with_request_body,
    };
  },
  compile(wire, env) {
    const settings = compileSettings(wire, env);
    return {
      handle(exchange, next) {
        const choices = exchange.perRouteAll(extAuthzFactory);
        if (choices[0]?.isDisabled) return next(exchange);
        if (settings.isEnabled(exchange)) return authorize(settings, exchange, { choices, next });
        settings.counters.disabled.inc();
        const denies = wire.deny_at_disable;
        if (!denies || !env.runtime.flag(denies.runtime_key ?? "", wrappedBool(denies.default_value, false)))
          return next(exchange);
        return Promise.reject(failure(settings));
      },
    };
  },
};

/** Throws ConfigError. */
function compileSettings(wire: ExtAuthz, env: HttpFilterEnv): Settings {
  for (const field of ["decoder_header_mutation_rules", "validate_mutations"] as const) {
    if (wire[field]) throw new ConfigError(field, "is not supported");
  }
  for (const field of ["typed_metadata_context_namespaces", "route_typed_metadata_context_namespaces"] as const) {
    if (wire[field]?.length) throw new ConfigError(field, "is not supported");
  }
  const { http_service: http, filter_enabled: enabled, filter_enabled_metadata: metadata } = wire;
  const ask = http ? within("http_service", () => compileHttpService(http, wire, env)) : compileGrpcService(wire, env);
  const matches = metadata ? within("filter_enabled_metadata", () => compileMetadataMatcher(metadata)) : () => true;
  const stats = env.httpStats.scope(wire.stat_prefix ? `ext_authz.${wire.stat_prefix}` : "ext_authz");
  const names = ["ok", "denied", "error", "disabled", "failure_mode_allowed"] as const;
  return {
    wire,
    env,
    ask,
    errorStatus: statusOf(wire.status_on_error) ?? 403,
    isEnabled: ({ info }) => (!enabled || env.runtime.isChosen(enabled, env.random())) && matches(info.dynamicMetadata),
    counters: Object.fromEntries(names.map((name) => [name, stats.counter(name)])) as Record<StatName, Counter>,
  };
}

interface Context {
  readonly choices: readonly RouteChoice[];
  readonly next: HttpHandler;
}

async function authorize(settings: Settings, exchange: Exchange, { choices, next }: Context): Promise<HttpResponse> {
  const body = await readBody(settings.wire, exchange, choices[0]?.body);
  // The closest level wins over those above it.
  const contextExtensions = Object.assign({}, ...choices.map((choice) => choice.contextExtensions).toReversed());
  const startedAt = settings.env.clock.monotonic();
  let verdict: Allowed | Denied;
  try {
    verdict = await settings.ask({ exchange, contextExtensions, body });
  } catch (cause: unknown) {
    if (!(cause instanceof ClusterCallError)) throw cause;
    return await goOnWithoutVerdict(settings, exchange, { cause, next });
  }
  if (verdict.metadata && wrappedBool(settings.wire.enable_dynamic_metadata_ingestion, true)) {
    const durationMs = Math.trunc(settings.env.clock.monotonic() - startedAt);
    const timing = verdict.kind === "allowed" ? { ext_authz_duration: durationMs } : {};
    exchange.info.dynamicMetadata.set(extAuthzFactory.name, { ...verdict.metadata, ...timing });
  }
  count(settings, exchange, verdict.kind === "allowed" ? "ok" : "denied");
  if (verdict.kind === "denied") throw denial(verdict);
  applyVerdict(settings, exchange, verdict);
  const { responseEdits } = verdict;
  if (responseEdits.length === 0) return await next(exchange);
  return await withAnswer(exchange, next, ({ headers }) => editHeaders(headers, responseEdits));
}

async function readBody(wire: ExtAuthz, exchange: Exchange, choice: RouteChoice["body"]): Promise<Question["body"]> {
  const settings = choice ?? wire.with_request_body;
  const { request } = exchange;
  if (!settings || settings === "none" || !request.body || request.upgrade !== undefined) return undefined;
  const limit = settings.max_request_bytes ?? 0;
  // One byte more tells a body that is just as long from one that is longer.
  const isPartialAllowed = settings.allow_partial_message === true;
  const peeked = await peekBody(request.body, isPartialAllowed ? limit : limit + 1);
  request.body = peeked.body;
  if (!isPartialAllowed && peeked.bytes.length > limit) {
    peeked.body.cancel();
    throw payloadTooLarge();
  }
  return { bytes: peeked.bytes.subarray(0, limit), isPartial: !peeked.isComplete };
}

function applyVerdict({ wire }: Settings, exchange: Exchange, verdict: Allowed): void {
  const { request } = exchange;
  editHeaders(request.headers, verdict.requestEdits);
  // Without these a request would be none.
  const removed = verdict.removed.filter((name) => !name.startsWith(":") && name !== "host");
  for (const name of removed) request.headers.remove(name);
  for (const { key, value } of verdict.parametersSet) request.path = setParameter(request.path, key, value);
  for (const key of verdict.parametersRemoved) request.path = removeParameter(request.path, key);
  const changes = verdict.requestEdits.length + removed.length;
  const hasChanged = changes + verdict.parametersSet.length + verdict.parametersRemoved.length > 0;
  if (wire.clear_route_cache && hasChanged) exchange.clearRoute();
}

function goOnWithoutVerdict(
  settings: Settings,
  exchange: Exchange,
  { cause, next }: { readonly cause: ClusterCallError; readonly next: HttpHandler },
): Promise<HttpResponse> {
  const { wire } = settings;
  settings.env.log.debug("the authorization service did not answer", { cause: String(cause) });
  count(settings, exchange, "error");
  if (!wire.failure_mode_allow) throw failure(settings);
  count(settings, exchange, "failure_mode_allowed");
  if (wire.failure_mode_allow_header_add) exchange.request.headers.set("x-envoy-auth-failure-mode-allowed", "true");
  return next(exchange);
}

/** For the filter and for the cluster that the request would go to. */
function count({ counters, env, wire }: Settings, { route }: Exchange, name: StatName): void {
  counters[name].inc();
  if (route?.action.kind !== "forward") return;
  const prefix = wire.stat_prefix ? `ext_authz.${wire.stat_prefix}` : "ext_authz";
  env.clusters.find(route.action.cluster)?.stats.counter(`${prefix}.${name}`).inc();
}

function failure({ errorStatus }: Settings): LocalReplyError {
  return new LocalReplyError({ status: errorStatus, details: "ext_authz_error", flags: ["UAEX"] });
}

function denial({ status, body, headers }: Denied): LocalReplyError {
  return new LocalReplyError({ status, body, headers, details: "ext_authz_denied", flags: ["UAEX"] });
}
