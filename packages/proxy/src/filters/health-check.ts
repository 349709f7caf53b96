/** Health checks of this proxy: answered here, passed on, or passed on once in a while. */
import { durationToMs } from "@meltemi/protos";
import type { HealthCheck } from "@meltemi/protos/envoy/extensions/filters/http/health_check/v3";
import type { HttpFilterEnv } from "../config/env.ts";
import { type Exchange, type HttpFilterFactory, type HttpHandler, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";
import { ConfigError, compileAll, need } from "../lib/config-error.ts";
import type { Counter } from "../lib/stats.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { withAnswer } from "./answer.ts";

interface Settings {
  readonly env: HttpFilterEnv;
  readonly percentages: readonly (readonly [cluster: string, percent: number])[];
  readonly counters: Readonly<Record<StatName, Counter>>;
}

const statNames = [
  "request_total",
  "ok",
  "failed",
  "cached_response",
  "failed_cluster_not_found",
  "failed_cluster_empty",
  "failed_cluster_unhealthy",
  "degraded",
] as const;
type StatName = (typeof statNames)[number];

export const healthCheckFactory: HttpFilterFactory<HealthCheck> = {
  name: "envoy.filters.http.health_check",
  type: "envoy.extensions.filters.http.health_check.v3.HealthCheck",
  compile(wire, env) {
    const passes = need("pass_through_mode", wire.pass_through_mode).value ?? false;
    const cacheMs = durationToMs(wire.cache_time) ?? 0;
    if (cacheMs > 0 && !passes) throw new ConfigError("cache_time", "cannot be used without pass_through_mode");
    const matchers = compileAll("headers", wire.headers, compileHeaderMatcher);
    const stats = env.httpStats.scope("health_check");
    const settings: Settings = {
      env,
      percentages: Object.entries(wire.cluster_min_healthy_percentages ?? {}).map(([name, { value = 0 }]) => [
        name,
        value,
      ]),
      counters: Object.fromEntries(statNames.map((name) => [name, stats.counter(name)])) as Settings["counters"],
    };
    let cached: { readonly status: number; readonly until: number } | undefined;
    return {
      handle(exchange, next) {
        if (!matchers.every((matches) => matches(exchange.request))) return next(exchange);
        exchange.info.isHealthCheck = true;
        settings.counters.request_total.inc();
        if (env.isFailingHealthChecks?.()) return Promise.reject(answerFailing(settings, env));
        if (!passes) return answer(settings);
        if (cacheMs === 0) return withAnswer(exchange, next, ({ headers }) => sign(headers, env));
        if (cached && env.clock.monotonic() < cached.until) {
          settings.counters.cached_response.inc();
          return replyWith(cached.status, settings);
        }
        return passAndKeep(exchange, next, (status) => {
          cached = { status, until: env.clock.monotonic() + cacheMs };
        });
      },
    };
  },
};

function sign(headers: HeaderList, { node }: HttpFilterEnv): void {
  headers.set("x-envoy-upstream-healthchecked-cluster", node.cluster ?? "");
}

function passAndKeep(exchange: Exchange, next: HttpHandler, keep: (status: number) => void): Promise<HttpResponse> {
  return withAnswer(exchange, next, ({ status }) => keep(status));
}

function answerFailing({ counters }: Settings, env: HttpFilterEnv): LocalReplyError {
  counters.failed.inc();
  const headers = new HeaderList();
  sign(headers, env);
  headers.set("x-envoy-immediate-health-check-fail", "true");
  return new LocalReplyError({ status: 503, headers, flags: ["LH"], details: "health_check_failed" });
}

function answer(settings: Settings): Promise<HttpResponse> {
  const problem = findProblem(settings);
  if (problem === undefined) return replyWith(200, settings);
  settings.counters[problem].inc();
  return replyWith(503, settings, `health_check_${problem}`);
}

function replyWith(status: number, { counters, env }: Settings, details?: string): Promise<HttpResponse> {
  const isOk = status === 200;
  (isOk ? counters.ok : counters.failed).inc();
  const headers = new HeaderList();
  sign(headers, env);
  return Promise.reject(
    new LocalReplyError({
      status,
      headers,
      flags: isOk ? [] : ["LH"],
      details: details ?? (isOk ? "health_check_ok" : "health_check_cached"),
    }),
  );
}

function findProblem({ env, percentages }: Settings): StatName | undefined {
  for (const [name, percent] of percentages) {
    const hosts = env.clusters.find(name)?.listHosts();
    if (!hosts) return "failed_cluster_not_found";
    if (hosts.length === 0) {
      if (percent === 0) continue;
      return "failed_cluster_empty";
    }
    const usable = hosts.filter(({ health }) => health !== "unhealthy").length;
    if (100 * usable < hosts.length * percent) return "failed_cluster_unhealthy";
  }
  return undefined;
}
