import { httpConnectionManagerFactory } from "../http/connection-manager.ts";
import { connectionLimitFactory } from "./connection-limit.ts";
import { directResponseFactory } from "./direct-response.ts";
import { echoFactory } from "./echo.ts";
import { extAuthzFactory } from "./ext-authz.ts";
import { istioStatsFactory } from "./istio-stats.ts";
import { localRateLimitFactory } from "./local-ratelimit.ts";
import { metadataExchangeFactory } from "./metadata-exchange.ts";
import { mongoProxyFactory } from "./mongo-proxy/mongo-proxy.ts";
import { mysqlProxyFactory } from "./mysql-proxy.ts";
import { rateLimitFactory } from "./ratelimit.ts";
import { rbacFactory } from "./rbac.ts";
import { redisProxyFactory } from "./redis-proxy/redis-proxy.ts";
import { setFilterStateFactory } from "./set-filter-state.ts";
import { sniClusterFactory } from "./sni-cluster.ts";
import { sniDynamicForwardProxyFactory } from "./sni-dynamic-forward-proxy.ts";
import { tcpProxyFactory } from "./tcp-proxy/tcp-proxy.ts";
import type { NetworkFilter, NetworkFilterFactory } from "./types.ts";

/** A factory for messages of any type: who calls it gives it one of its own. */
export type AnyNetworkFilterFactory = Omit<NetworkFilterFactory<unknown>, "compile"> & {
  compile(config: never, env: Parameters<NetworkFilterFactory<unknown>["compile"]>[1]): NetworkFilter;
};

/** All network filters. */
export const networkFilterFactories: readonly AnyNetworkFilterFactory[] = [
  httpConnectionManagerFactory,
  tcpProxyFactory,
  rbacFactory,
  metadataExchangeFactory,
  istioStatsFactory,
  sniClusterFactory,
  sniDynamicForwardProxyFactory,
  connectionLimitFactory,
  localRateLimitFactory,
  rateLimitFactory,
  extAuthzFactory,
  setFilterStateFactory,
  redisProxyFactory,
  mongoProxyFactory,
  mysqlProxyFactory,
  directResponseFactory,
  echoFactory,
];

/** By the full name of the message of its configuration. */
export function findNetworkFilter(typeName: string): NetworkFilterFactory<unknown> | undefined {
  return toCallable(networkFilterFactories.find(({ type }) => type === typeName));
}

/** By its name, for filters without configuration. */
export function findNetworkFilterByName(filterName: string): NetworkFilterFactory<unknown> | undefined {
  return toCallable(networkFilterFactories.find(({ name }) => name === filterName));
}

/** Who has found a factory by the type of a message may give it that message, which the compiler cannot know. */
function toCallable(factory: AnyNetworkFilterFactory | undefined): NetworkFilterFactory<unknown> | undefined {
  return factory as NetworkFilterFactory<unknown> | undefined;
}
