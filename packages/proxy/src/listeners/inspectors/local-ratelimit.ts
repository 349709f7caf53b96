import type { LocalRateLimit } from "@meltemi/protos/envoy/extensions/filters/listener/local_ratelimit/v3";
import type { ProxyEnv } from "../../config/env.ts";
import { need, within } from "../../lib/config-error.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import { compileTokenBucket } from "../token-bucket.ts";
import { done, type ListenerFilter } from "./listener-filter.ts";

/** Lets only so many connections in for each time: the others are closed before anything is read. */
export function compileListenerRateLimit(config: LocalRateLimit, env: ProxyEnv): ListenerFilter {
  const bucket = within("token_bucket", () => compileTokenBucket(need("", config.token_bucket), env.clock));
  const limited = env.stats.scope(`listener_local_ratelimit.${config.stat_prefix ?? ""}`).counter("rate_limited");
  const switchKey = config.runtime_enabled?.runtime_key ?? "";
  const isOnByDefault = wrappedBool(config.runtime_enabled?.default_value, true);
  return {
    name: "envoy.filters.listener.local_ratelimit",
    accept() {
      if (!env.runtime.flag(switchKey, isOnByDefault) || bucket.take()) return done;
      limited.inc();
      return { kind: "close", reason: "local_rate_limited" };
    },
    inspect: () => done,
  };
}
