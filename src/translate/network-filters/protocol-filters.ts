/** Filters that understand an application's protocol (Istio: networking/core/networkfilter.go, buildNetworkFiltersStack). */
import { duration, packAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { Protocol } from "../../lib/protocol.ts";
import type { L4Target } from "../tcp-routes/l4-target.ts";
import { type ProxyFacts, supports } from "./filter-facts.ts";

/** How long a command may take, as Istio has it. */
const redisTimeoutMs = 5000;

export interface ProtocolFilterOptions {
  readonly protocol: Protocol;
  readonly target: L4Target;
  readonly facts: ProxyFacts;
}

/**
 * Filters in front of the TCP proxy, which count operations. That of MySQL is off unless an operator turns it on
 * (PILOT_ENABLE_MYSQL_FILTER): it refuses what it does not understand.
 */
export function buildProtocolFilters({ protocol, target, facts }: ProtocolFilterOptions): readonly Filter[] {
  const { features } = facts;
  if (protocol === "Mongo" && features.mongoFilter && supports(facts, "envoy.filters.network.mongo_proxy")) {
    const config = packAny("envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy", {
      stat_prefix: target.statPrefix,
    });
    return [{ name: "envoy.filters.network.mongo_proxy", typed_config: config }];
  }
  if (protocol === "MySQL" && features.mysqlFilter && supports(facts, "envoy.filters.network.mysql_proxy")) {
    const config = packAny("envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy", {
      stat_prefix: target.statPrefix,
    });
    return [{ name: "envoy.filters.network.mysql_proxy", typed_config: config }];
  }
  return [];
}

/**
 * The filter that takes the place of the TCP proxy: that of Redis routes single commands, all of them to the first cluster
 * (PILOT_ENABLE_REDIS_FILTER). Undefined where the TCP proxy it is.
 */
export function buildEndingFilter({ protocol, target, facts }: ProtocolFilterOptions): Filter | undefined {
  const isAsked = protocol === "Redis" && facts.features.redisFilter;
  if (!isAsked || !supports(facts, "envoy.filters.network.redis_proxy")) return undefined;
  const config = packAny("envoy.extensions.filters.network.redis_proxy.v3.RedisProxy", {
    stat_prefix: target.statPrefix,
    latency_in_micros: true,
    settings: { op_timeout: duration(redisTimeoutMs) },
    prefix_routes: { catch_all_route: { cluster: target.clusters[0]?.name ?? "" } },
  });
  return { name: "envoy.filters.network.redis_proxy", typed_config: config };
}
