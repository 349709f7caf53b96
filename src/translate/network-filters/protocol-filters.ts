/** Filters that understand an application's protocol (Istio: networking/core/networkfilter.go, buildNetworkFiltersStack). */
import { packAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { Protocol } from "../../lib/protocol.ts";
import type { L4Target } from "../tcp-routes/l4-target.ts";
import { type ProxyFacts, supports } from "./filter-facts.ts";

export interface ProtocolFilterOptions {
  readonly protocol: Protocol;
  readonly target: L4Target;
  readonly facts: ProxyFacts;
}

/**
 * Filters in front of the TCP proxy. Only MongoDB has one: Istio leaves those of Redis and MySQL off unless an operator
 * turns them on (PILOT_ENABLE_REDIS_FILTER, PILOT_ENABLE_MYSQL_FILTER), because they change what the proxy lets pass.
 */
export function buildProtocolFilters({ protocol, target, facts }: ProtocolFilterOptions): readonly Filter[] {
  if (protocol !== "Mongo" || !supports(facts, "envoy.filters.network.mongo_proxy")) return [];
  return [
    {
      name: "envoy.filters.network.mongo_proxy",
      typed_config: packAny("envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy", {
        stat_prefix: target.statPrefix,
      }),
    },
  ];
}
