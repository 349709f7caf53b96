import type { LocalRateLimit } from "@meltemi/protos/envoy/extensions/filters/network/local_ratelimit/v3";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileTokenBucket } from "../listeners/token-bucket.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** Lets only so many connections of a chain in for each time. */
export const localRateLimitFactory: NetworkFilterFactory<LocalRateLimit> = {
  name: "envoy.filters.network.local_ratelimit",
  type: "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
  compile(config, env) {
    if (config.share_key) throw new ConfigError("share_key", "limits that filters share are not supported");
    const bucket = within("token_bucket", () => compileTokenBucket(need("", config.token_bucket), env.clock));
    const limited = env.stats.scope(`local_rate_limit.${config.stat_prefix ?? ""}`).counter("rate_limited");
    const switchKey = config.runtime_enabled?.runtime_key ?? "";
    const isOnByDefault = wrappedBool(config.runtime_enabled?.default_value, true);
    return {
      admit(connection) {
        if (!env.runtime.flag(switchKey, isOnByDefault) || bucket.take()) return true;
        limited.inc();
        // Not RL: Envoy's flag for this is that of too many retries.
        connection.info.responseFlags.add("URX");
        connection.close("reset", "local_ratelimit_close_over_limit");
        return false;
      },
    };
  },
};
