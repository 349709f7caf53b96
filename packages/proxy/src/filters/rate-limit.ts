/** Rate limits that a service keeps for many proxies. */
import { decode, durationToMs, encode, structToJson } from "@meltemi/protos";
import type { HeaderValue } from "@meltemi/protos/envoy/config/core/v3";
import type { RateLimitDescriptor } from "@meltemi/protos/envoy/extensions/common/ratelimit/v3";
import type { RateLimit, RateLimitPerRoute } from "@meltemi/protos/envoy/extensions/filters/http/ratelimit/v3";
import type { RateLimitResponse, RateLimitResponse_RateLimit_Unit } from "@meltemi/protos/envoy/service/ratelimit/v3";
import { callGrpc, compileGrpcTarget, type GrpcTarget } from "../calls/grpc-call.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import { type Exchange, type HttpFilterFactory, type HttpHandler, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { compileHeaderMutation, type HeaderMutation } from "../router/header-mutation.ts";
import { withAnswer } from "./answer.ts";
import { statusOf } from "./http-status.ts";
import { createDescriptorSource, type Descriptor, type VirtualHostLimits } from "./rate-limit-descriptors.ts";

interface RouteChoice {
  readonly virtualHost: VirtualHostLimits;
  readonly domain: string;
}

interface Settings {
  readonly wire: RateLimit;
  readonly env: HttpFilterEnv;
  readonly target: GrpcTarget;
  readonly describe: ReturnType<typeof createDescriptorSource>;
  readonly changeResponse: HeaderMutation | undefined;
  readonly limitedStatus: number;
  readonly errorStatus: number;
  readonly statName: (name: string) => string;
}

export const rateLimitFactory: HttpFilterFactory<RateLimit, RouteChoice> = {
  name: "envoy.filters.http.ratelimit",
  type: "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
  routeTypes: ["envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"],
  compileRoute(config) {
    const wire = config as RateLimitPerRoute;
    if (wire.rate_limits?.length) throw new ConfigError("rate_limits", "is not supported; those of the route are");
    if ((wire.override_option ?? "DEFAULT") !== "DEFAULT") throw new ConfigError("override_option", "is not supported");
    return { virtualHost: wire.vh_rate_limits ?? "OVERRIDE", domain: wire.domain ?? "" };
  },
  compile(wire, env) {
    const service = need("rate_limit_service.grpc_service", wire.rate_limit_service?.grpc_service);
    const limited = statusOf(wire.rate_limited_status) ?? 429;
    const prefix = wire.stat_prefix ? `${wire.stat_prefix}.` : "";
    if (need("domain", wire.domain) === "") throw new ConfigError("domain", "must not be empty");
    const settings: Settings = {
      wire,
      env,
      target: within("rate_limit_service.grpc_service", () => ({
        ...compileGrpcTarget(service, 20),
        timeoutMs: durationToMs(wire.timeout) ?? 20,
      })),
      describe: createDescriptorSource(env),
      changeResponse: compileHeaderMutation(wire.response_headers_to_add, undefined, "response"),
      limitedStatus: limited >= 400 ? limited : 429,
      errorStatus: statusOf(wire.status_on_error) ?? 500,
      statName: (name) => `ratelimit.${prefix}${name}`,
    };
    return { handle: (exchange, next) => limitRequest(settings, exchange, next) };
  },
};

function limitRequest(settings: Settings, exchange: Exchange, next: HttpHandler): Promise<HttpResponse> {
  const { wire, env, describe } = settings;
  if (!concerns(wire.request_type ?? "", exchange)) return next(exchange);
  if (!isChosen(env, "ratelimit.http_filter_enabled")) return next(exchange);
  const choice = exchange.perRoute(rateLimitFactory);
  const descriptors = describe(exchange, {
    stage: wire.stage ?? 0,
    virtualHost: choice?.virtualHost ?? "OVERRIDE",
    isDisabled: (key) => !isChosen(env, `ratelimit.${key}.http_filter_enabled`),
  });
  if (descriptors.length === 0) return next(exchange);
  return askService(settings, exchange, { descriptors, domain: choice?.domain || wire.domain || "", next });
}

function isChosen({ runtime, random }: HttpFilterEnv, key: string): boolean {
  return runtime.isChosen({ runtime_key: key, default_value: { numerator: 100 } }, random());
}

function concerns(requestType: string, { request }: Exchange): boolean {
  if (requestType === "" || requestType === "both") return true;
  return (request.headers.get("x-envoy-internal") === "true") === (requestType === "internal");
}

interface Question {
  readonly descriptors: readonly Descriptor[];
  readonly domain: string;
  readonly next: HttpHandler;
}

async function askService(settings: Settings, exchange: Exchange, question: Question): Promise<HttpResponse> {
  const { wire, env, target } = settings;
  const { domain, descriptors, next } = question;
  const message = encode("envoy.service.ratelimit.v3.RateLimitRequest", {
    domain,
    descriptors: descriptors as readonly RateLimitDescriptor[],
  });
  const path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
  const onAbort: Exchange["onAbort"] = (run) => exchange.onAbort(run);
  let answer: RateLimitResponse;
  try {
    answer = decode(
      "envoy.service.ratelimit.v3.RateLimitResponse",
      await callGrpc(env, { target, path, message, onAbort }),
    );
  } catch (cause: unknown) {
    count(settings, exchange, "error");
    env.log.debug("the rate limit service did not answer", { cause: String(cause) });
    if (!wire.failure_mode_deny) {
      count(settings, exchange, "failure_mode_allowed");
      return next(exchange);
    }
    const details = "rate_limiter_error";
    throw new LocalReplyError({ status: settings.errorStatus, details, flags: ["RLSE"] });
  }
  if (answer.dynamic_metadata) {
    exchange.info.dynamicMetadata.set(rateLimitFactory.name, { ...structToJson(answer.dynamic_metadata) });
  }
  if (answer.overall_code === "OVER_LIMIT") return refuse(settings, exchange, { answer, next });
  count(settings, exchange, "ok");
  for (const { key = "", value = "" } of answer.request_headers_to_add ?? []) {
    exchange.request.headers.append(key.toLowerCase(), value);
  }
  const added = listAnswerHeaders(settings, answer);
  if (added.length === 0) return next(exchange);
  return withAnswer(exchange, next, ({ headers }) => headers.raw.push(...added));
}

function refuse(
  settings: Settings,
  exchange: Exchange,
  { answer, next }: { readonly answer: RateLimitResponse; readonly next: HttpHandler },
): Promise<HttpResponse> {
  const { wire, env, changeResponse } = settings;
  count(settings, exchange, "over_limit");
  const headers = new HeaderList([...listAnswerHeaders(settings, answer)]);
  if (!isChosen(env, "ratelimit.http_filter_enforcing")) return next(exchange);
  if (!wire.disable_x_envoy_ratelimited_header) headers.set("x-envoy-ratelimited", "true");
  changeResponse?.(headers, { info: exchange.info, request: exchange.request });
  const reply = {
    status: settings.limitedStatus,
    body: Buffer.from(answer.raw_body ?? []).toString("utf8"),
    headers,
    flags: ["RL"],
    details: "request_rate_limited",
  } as const;
  throw new LocalReplyError(wire.rate_limited_as_resource_exhausted ? { ...reply, grpcStatus: 8 } : reply);
}

function count({ env, statName }: Settings, { route }: Exchange, name: string): void {
  if (route?.action.kind !== "forward") return;
  env.clusters.find(route.action.cluster)?.stats.counter(statName(name)).inc();
}

function listAnswerHeaders({ wire }: Settings, answer: RateLimitResponse): readonly string[] {
  const given = (answer.response_headers_to_add ?? []).flatMap(({ key = "", value = "" }: HeaderValue) => [
    key.toLowerCase(),
    value,
  ]);
  return wire.enable_x_ratelimit_headers === "DRAFT_VERSION_03" ? [...given, ...listLimits(answer)] : given;
}

const unitSeconds: Readonly<Record<RateLimitResponse_RateLimit_Unit, number>> = {
  UNKNOWN: 0,
  SECOND: 1,
  MINUTE: 60,
  HOUR: 3600,
  DAY: 86_400,
  MONTH: 2_592_000,
  YEAR: 31_536_000,
};

/** x-ratelimit-* of the third draft: of the limit with the least left, with all limits as its policy. */
function listLimits({ statuses = [] }: RateLimitResponse): readonly string[] {
  const limited = statuses.filter(({ current_limit: limit }) => limit !== undefined);
  const [first, ...others] = limited;
  if (!first) return [];
  const least = others.reduce(
    (one, other) => ((other.limit_remaining ?? 0) < (one.limit_remaining ?? 0) ? other : one),
    first,
  );
  const policies = limited.map(({ current_limit: limit = {} }) => {
    const seconds = unitSeconds[limit.unit ?? "UNKNOWN"];
    const name = limit.name ? `;name="${limit.name}"` : "";
    return seconds === 0 ? "" : `, ${limit.requests_per_unit ?? 0};w=${seconds}${name}`;
  });
  return [
    ...["x-ratelimit-limit", `${least.current_limit?.requests_per_unit ?? 0}${policies.join("")}`],
    ...["x-ratelimit-remaining", String(least.limit_remaining ?? 0)],
    ...["x-ratelimit-reset", String(Math.trunc((durationToMs(least.duration_until_reset) ?? 0) / 1000))],
  ];
}
