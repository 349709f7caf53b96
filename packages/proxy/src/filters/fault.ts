/** Injected faults: delays, aborts and slow answers, by configuration, by runtime or by what headers ask for. */

import { durationToMs, structToJson } from "@meltemi/protos";
import type { HTTPFault } from "@meltemi/protos/envoy/extensions/filters/http/fault/v3";
import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";
import type { HttpFilterEnv, ProxyEnv } from "../config/env.ts";
import { type Exchange, ExchangeResetError, type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, compileAll } from "../lib/config-error.ts";
import type { Counter, Gauge, Stats } from "../lib/stats.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { slicesPerSecond, throttle } from "./throttle.ts";

/** A part of all requests, by configuration, runtime and, up to that, a header. */
type Chance = (headers: HeaderList, service: string | undefined) => boolean;

interface CompiledFault {
  readonly matches: (exchange: Exchange) => boolean;
  readonly maxActive: () => number;
  /** Milliseconds to wait; 0 for none. */
  readonly delayMs: (headers: HeaderList, service: string | undefined) => number;
  readonly abort: (headers: HeaderList, service: string | undefined) => Abort | undefined;
  /** Bytes a slice; undefined where the answer is not slowed down. */
  readonly bytesPerSlice: (headers: HeaderList) => number | undefined;
  readonly metadata: Record<string, unknown> | undefined;
  readonly countsByService: boolean;
}

interface Abort {
  readonly status: number;
  readonly grpcStatus?: number;
}

interface FaultStats {
  readonly aborts: Counter;
  readonly delays: Counter;
  readonly slowed: Counter;
  readonly overflow: Counter;
  readonly active: Gauge;
  readonly scope: Stats;
}

export const faultFactory: HttpFilterFactory<HTTPFault, CompiledFault> = {
  name: "envoy.filters.http.fault",
  type: "envoy.extensions.filters.http.fault.v3.HTTPFault",
  routeTypes: ["envoy.extensions.filters.http.fault.v3.HTTPFault"],
  compileRoute: (config, env) => compileFault(config as HTTPFault, env),
  compile(config, env) {
    const settings = compileFault(config, env);
    const stats = findStats(env);
    const isIdle = !config.delay && !config.abort && !config.response_rate_limit;
    return {
      handle(exchange, next) {
        const own = exchange.perRoute(faultFactory);
        if (own === undefined && isIdle) return next(exchange);
        return injectFaults(own ?? settings, { exchange, next, stats, clock: env.clock });
      },
    };
  },
};

interface Injection {
  readonly exchange: Exchange;
  readonly next: (exchange: Exchange) => Promise<HttpResponse>;
  readonly stats: FaultStats;
  readonly clock: Clock;
}

async function injectFaults(fault: CompiledFault, injection: Injection): Promise<HttpResponse> {
  const { exchange, next, stats, clock } = injection;
  const { headers } = exchange.request;
  if (stats.active.value >= fault.maxActive()) {
    stats.overflow.inc();
    return next(exchange);
  }
  if (!fault.matches(exchange)) return next(exchange);
  const service = headers.get("x-envoy-downstream-service-cluster");
  const begin = createActivation(fault, injection);
  const bytesPerSlice = fault.bytesPerSlice(headers);
  if (bytesPerSlice !== undefined) {
    begin();
    stats.slowed.inc();
  }
  const delayMs = fault.delayMs(headers, service);
  if (delayMs > 0) {
    begin();
    count(stats.delays, "delays_injected", { fault, stats, service });
    exchange.info.responseFlags.add("DI");
    await wait(delayMs, exchange, clock);
  }
  const abort = fault.abort(headers, service);
  if (abort) {
    begin();
    count(stats.aborts, "aborts_injected", { fault, stats, service });
    throw new LocalReplyError({ ...abort, body: "fault filter abort", details: "fault_filter_abort", flags: ["FI"] });
  }
  const response = await next(exchange);
  if (bytesPerSlice !== undefined && response.body) {
    response.body = throttle(response.body, {
      clock,
      bytesPerSlice,
      sliceMs: 1000 / slicesPerSecond,
      bufferLimit: 1024 * 1024,
    });
  }
  return response;
}

/** All faults of one request count as one that is active, until the request is over. */
function createActivation(fault: CompiledFault, { exchange, stats }: Injection): () => void {
  let isActive = false;
  return () => {
    if (isActive) return;
    isActive = true;
    stats.active.inc();
    exchange.onEnd(() => stats.active.dec());
    if (fault.metadata) exchange.info.dynamicMetadata.set(faultFactory.name, fault.metadata);
  };
}

function count(
  counter: Counter,
  name: string,
  {
    fault,
    stats,
    service,
  }: { readonly fault: CompiledFault; readonly stats: FaultStats; readonly service: string | undefined },
): void {
  counter.inc();
  if (service && fault.countsByService) stats.scope.counter(`${service}.${name}`).inc();
}

function wait(delayMs: number, exchange: Exchange, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(delayMs, () => {
      forget();
      resolve();
    });
    const forget = exchange.onAbort(() => {
      timer.close();
      reject(new ExchangeResetError("downstream_remote_disconnect", ["DC"]));
    });
  });
}

function findStats({ httpStats }: HttpFilterEnv): FaultStats {
  const scope = httpStats.scope("fault");
  return {
    aborts: scope.counter("aborts_injected"),
    delays: scope.counter("delays_injected"),
    slowed: scope.counter("response_rl_injected"),
    overflow: scope.counter("faults_overflow"),
    active: scope.gauge("active_faults"),
    scope,
  };
}

/** Reads a fault's settings once. Throws ConfigError. */
function compileFault(wire: HTTPFault, env: ProxyEnv): CompiledFault {
  const maxActive = wrappedNumber(wire.max_active_faults, Number.POSITIVE_INFINITY);
  const maxActiveKey = wire.max_active_faults_runtime || "fault.http.max_active_faults";
  return {
    matches: compileMatch(wire),
    maxActive: () => env.runtime.number(maxActiveKey, maxActive),
    delayMs: compileDelay(wire, env),
    abort: compileAbort(wire, env),
    bytesPerSlice: compileRate(wire, env),
    metadata: wire.filter_metadata && { ...structToJson(wire.filter_metadata) },
    countsByService: wire.disable_downstream_cluster_stats !== true,
  };
}

function compileMatch(wire: HTTPFault): CompiledFault["matches"] {
  const headers = compileAll("headers", wire.headers, compileHeaderMatcher);
  const nodes = new Set(wire.downstream_nodes);
  const cluster = wire.upstream_cluster ?? "";
  return ({ request, route }) => {
    if (cluster !== "" && !(route?.action.kind === "forward" && route.action.cluster === cluster)) return false;
    if (nodes.size > 0 && !nodes.has(request.headers.get("x-envoy-downstream-service-node") ?? "")) return false;
    return matchesAll(headers, request);
  };
}

function matchesAll(matchers: readonly ((request: HttpRequest) => boolean)[], request: HttpRequest): boolean {
  for (const matches of matchers) if (!matches(request)) return false;
  return true;
}

interface ChanceOptions {
  readonly percentage: FractionalPercent | undefined;
  readonly key: string;
  /** The end of the runtime key for a service ("fault.http.SERVICE.…"). */
  readonly serviceKey?: string;
  /** A header that may lower the part: its number takes the place of the numerator. */
  readonly header?: string;
}

function compileChance({ percentage = {}, key, serviceKey, header }: ChanceOptions, env: ProxyEnv): Chance {
  const max = percentage.numerator ?? 0;
  const isChosen = (runtimeKey: string, part: FractionalPercent): boolean =>
    env.runtime.isChosen({ runtime_key: runtimeKey, default_value: part }, env.random());
  const forHeaders = (headers: HeaderList): FractionalPercent => {
    const asked = header === undefined ? undefined : parseWhole(headers.get(header));
    return asked === undefined ? percentage : { ...percentage, numerator: Math.min(asked, max) };
  };
  return (headers, service) => {
    const part = forHeaders(headers);
    if (isChosen(key, part)) return true;
    return service !== undefined && serviceKey !== undefined && isChosen(`fault.http.${service}.${serviceKey}`, part);
  };
}

function compileDelay({ delay, ...wire }: HTTPFault, env: ProxyEnv): CompiledFault["delayMs"] {
  if (!delay) return () => 0;
  if (!delay.fixed_delay && !delay.header_delay)
    throw new ConfigError("delay", "fixed_delay or header_delay is required");
  const isByHeader = delay.header_delay !== undefined;
  const fixedMs = durationToMs(delay.fixed_delay) ?? 0;
  const key = wire.delay_duration_runtime || "fault.http.delay.fixed_duration_ms";
  const isChosen = compileChance(
    {
      percentage: delay.percentage,
      key: wire.delay_percent_runtime || "fault.http.delay.fixed_delay_percent",
      serviceKey: "delay.fixed_delay_percent",
      ...(isByHeader ? { header: "x-envoy-fault-delay-request-percentage" } : {}),
    },
    env,
  );
  return (headers, service) => {
    const given = isByHeader ? parseWhole(headers.get("x-envoy-fault-delay-request")) : fixedMs;
    if (given === undefined || !isChosen(headers, service)) return 0;
    const ms = env.runtime.number(key, given);
    return service === undefined ? ms : env.runtime.number(`fault.http.${service}.delay.fixed_duration_ms`, ms);
  };
}

function compileAbort({ abort, ...wire }: HTTPFault, env: ProxyEnv): CompiledFault["abort"] {
  if (!abort) return () => undefined;
  const { http_status: status, grpc_status: grpcStatus, header_abort: byHeader } = abort;
  if (status === undefined && grpcStatus === undefined && !byHeader) {
    throw new ConfigError("abort", "http_status, grpc_status or header_abort is required");
  }
  if (status !== undefined && (status < 200 || status >= 600)) {
    throw new ConfigError("abort.http_status", "must be at least 200 and below 600");
  }
  const statusKey = wire.abort_http_status_runtime || "fault.http.abort.http_status";
  const grpcKey = wire.abort_grpc_status_runtime || "fault.http.abort.grpc_status";
  const isChosen = compileChance(
    {
      percentage: abort.percentage,
      key: wire.abort_percent_runtime || "fault.http.abort.abort_percent",
      serviceKey: "abort.abort_percent",
      ...(byHeader ? { header: "x-envoy-fault-abort-request-percentage" } : {}),
    },
    env,
  );
  const overridden = (key: string, given: number, service: string | undefined, end: string): number => {
    const value = env.runtime.number(key, given);
    return service === undefined ? value : env.runtime.number(`fault.http.${service}.${end}`, value);
  };
  return (headers, service) => {
    if (!isChosen(headers, service)) return undefined;
    const http = byHeader ? parseStatus(headers.get("x-envoy-fault-abort-request")) : status;
    if (http !== undefined) return { status: overridden(statusKey, http, service, "abort.http_status") };
    const grpc = byHeader ? parseWhole(headers.get("x-envoy-fault-abort-grpc-request")) : grpcStatus;
    if (grpc === undefined) return undefined;
    return { status: 200, grpcStatus: overridden(grpcKey, grpc, service, "abort.grpc_status") };
  };
}

function compileRate(
  { response_rate_limit: limit, ...wire }: HTTPFault,
  env: ProxyEnv,
): CompiledFault["bytesPerSlice"] {
  if (!limit) return () => undefined;
  const isByHeader = limit.header_limit !== undefined;
  const fixed = limit.fixed_limit === undefined ? undefined : Number(limit.fixed_limit.limit_kbps ?? 0);
  if (!isByHeader && !fixed) throw new ConfigError("response_rate_limit.fixed_limit.limit_kbps", "must be at least 1");
  const isChosen = compileChance(
    {
      percentage: limit.percentage,
      key: wire.response_rate_limit_percent_runtime || "fault.http.rate_limit.response_percent",
      ...(isByHeader ? { header: "x-envoy-fault-throughput-response-percentage" } : {}),
    },
    env,
  );
  return (headers) => {
    const kibibytes = isByHeader ? parseWhole(headers.get("x-envoy-fault-throughput-response")) : fixed;
    if (!kibibytes || !isChosen(headers, undefined)) return undefined;
    return Math.max(1, Math.trunc((kibibytes * 1024) / slicesPerSecond));
  };
}

function parseWhole(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function parseStatus(text: string | undefined): number | undefined {
  const status = parseWhole(text);
  return status !== undefined && status >= 200 && status < 600 ? status : undefined;
}
