import type { RedisProxy } from "@meltemi/protos/envoy/extensions/filters/network/redis_proxy/v3";
import type { NetworkFilterFactory } from "../types.ts";
import { compileRedisPlan } from "./plan.ts";
import { RedisSession } from "./redis-session.ts";
import { createRedisStats } from "./redis-stats.ts";

/** Sends Redis' commands to the hosts that their keys belong to. */
export const redisProxyFactory: NetworkFilterFactory<RedisProxy> = {
  name: "envoy.filters.network.redis_proxy",
  type: "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
  compile(config, env) {
    const plan = compileRedisPlan(config);
    const stats = createRedisStats(env.stats.scope(`redis.${config.stat_prefix ?? ""}`));
    return { serve: (connection) => new RedisSession({ plan, stats, env }, connection).start() };
  },
};
