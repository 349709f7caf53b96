import { decode, durationToMs, encode, structToJson } from "@meltemi/protos";
import type { RateLimitDescriptor } from "@meltemi/protos/envoy/extensions/common/ratelimit/v3";
import type { RateLimit } from "@meltemi/protos/envoy/extensions/filters/network/ratelimit/v3";
import { callGrpc, compileGrpcTarget } from "../calls/grpc-call.ts";
import type { NetworkFilterEnv } from "../config/env.ts";
import { compileTextFormat } from "../formatter/compile-format.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import type { NetworkFilterFactory } from "./types.ts";

const ownName = "envoy.filters.network.ratelimit";
const defaultTimeoutMs = 20;

/** What logs say of a connection that was not let in. */
const closeDetails = {
  OVER_LIMIT: "ratelimit_close_over_limit",
  ERROR: "ratelimit_error_failure_mode_connection_close",
} as const;

/** Asks a service (envoy.service.ratelimit.v3) whether there is room for one more connection. */
export const rateLimitFactory: NetworkFilterFactory<RateLimit> = {
  name: ownName,
  type: "envoy.extensions.filters.network.ratelimit.v3.RateLimit",
  compile(config, env) {
    const { domain = "", stat_prefix: prefix = "" } = config;
    if (domain === "") throw new ConfigError("domain", "must not be empty");
    if (prefix === "") throw new ConfigError("stat_prefix", "must not be empty");
    const describe = compileDescriptors(config, env);
    const service = need("rate_limit_service.grpc_service", config.rate_limit_service?.grpc_service);
    const target = {
      ...within("rate_limit_service.grpc_service", () => compileGrpcTarget(service, defaultTimeoutMs)),
      timeoutMs: durationToMs(config.timeout) ?? defaultTimeoutMs,
    };
    const counters = createCounters(env.stats.scope(`ratelimit.${prefix}`));
    const isChosen = (key: string): boolean => env.random() * 100 < env.runtime.number(key, 100);
    const ask = async (connection: DownstreamConnection): Promise<"OK" | "OVER_LIMIT" | "ERROR"> => {
      const message = encode("envoy.service.ratelimit.v3.RateLimitRequest", {
        domain,
        descriptors: describe(connection),
      });
      try {
        const path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
        const bytes = await callGrpc(env, { target, path, message });
        const answer = decode("envoy.service.ratelimit.v3.RateLimitResponse", bytes);
        if (answer.dynamic_metadata !== undefined) {
          connection.info.dynamicMetadata.set(ownName, structToJson(answer.dynamic_metadata));
        }
        return answer.overall_code === "OVER_LIMIT" ? "OVER_LIMIT" : "OK";
      } catch {
        return "ERROR";
      }
    };
    return {
      async admit(connection) {
        if (!isChosen("ratelimit.tcp_filter_enabled")) return true;
        counters.total.inc();
        counters.active.inc();
        const result = await ask(connection);
        counters.active.dec();
        counters[result].inc();
        if (result === "OK") return true;
        const isRefused =
          result === "OVER_LIMIT" ? isChosen("ratelimit.tcp_filter_enforcing") : config.failure_mode_deny === true;
        if (!isRefused) {
          if (result === "ERROR") counters.failureAllowed.inc();
          return true;
        }
        counters.closed.inc();
        connection.close("reset", closeDetails[result]);
        return false;
      },
    };
  },
};

function createCounters(stats: Stats) {
  return {
    total: stats.counter("total"),
    OK: stats.counter("ok"),
    OVER_LIMIT: stats.counter("over_limit"),
    ERROR: stats.counter("error"),
    failureAllowed: stats.counter("failure_mode_allowed"),
    closed: stats.counter("cx_closed"),
    active: stats.gauge("active"),
  };
}

/** Values may be formats that are filled in for each connection. */
function compileDescriptors(
  config: RateLimit,
  env: NetworkFilterEnv,
): (connection: DownstreamConnection) => readonly RateLimitDescriptor[] {
  const descriptors = compileAll("descriptors", config.descriptors, (descriptor) => ({
    limit: descriptor.limit,
    entries: compileAll("entries", descriptor.entries, ({ key = "", value = "" }) => ({
      key,
      format: within("value", () => compileTextFormat(value, { clusters: env.clusters })),
    })),
  }));
  if (descriptors.length === 0) throw new ConfigError("descriptors", "must not be empty");
  return ({ info }) =>
    descriptors.map(({ limit, entries }) => ({
      limit,
      entries: entries.map(({ key, format }) => ({ key, value: format({ info }) })),
    }));
}
