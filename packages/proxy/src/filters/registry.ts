/** All HTTP filters that this proxy has, and what routes say for them. */
import type { Any } from "@meltemi/protos/google/protobuf";
import type { ProxyEnv } from "../config/env.ts";
import type { HttpFilterFactory } from "../http/exchange.ts";
import { ConfigError } from "../lib/config-error.ts";
import { routerFactory } from "../router/router-filter.ts";
import { basicAuthFactory } from "./basic-auth.ts";
import { bufferFactory } from "./buffer.ts";
import { cdnLoopFactory } from "./cdn-loop.ts";
import { compressorFactory } from "./compression/compressor.ts";
import { decompressorFactory } from "./compression/decompressor.ts";
import { corsFactory } from "./cors.ts";
import { csrfFactory } from "./csrf.ts";
import { dynamicForwardProxyFactory } from "./dynamic-forward-proxy.ts";
import { extAuthzFactory } from "./ext-authz/ext-authz.ts";
import { faultFactory } from "./fault.ts";
import { grpcHttp1BridgeFactory } from "./grpc/grpc-http1-bridge.ts";
import { grpcStatsFactory } from "./grpc/grpc-stats.ts";
import { grpcWebFactory } from "./grpc/grpc-web.ts";
import { headerMutationFactory } from "./header-mutation.ts";
import { headerToMetadataFactory } from "./header-to-metadata.ts";
import { healthCheckFactory } from "./health-check.ts";
import { alpnFactory, istioStatsFactory, peerMetadataFactory } from "./istio.ts";
import { jwtAuthnFactory } from "./jwt-authn/jwt-authn.ts";
import { localRateLimitFactory } from "./local-rate-limit.ts";
import { ipTaggingFactory, setFilterStateFactory, setMetadataFactory } from "./metadata-filters.ts";
import { rateLimitFactory } from "./rate-limit.ts";
import { rbacFactory } from "./rbac.ts";
import { statefulSessionFactory } from "./stateful-session.ts";
import { typeNameOfConfig, unpackConfig } from "./unpack-config.ts";

export const httpFilterFactories: readonly HttpFilterFactory<unknown, unknown>[] = [
  basicAuthFactory,
  bufferFactory,
  cdnLoopFactory,
  compressorFactory,
  decompressorFactory,
  corsFactory,
  csrfFactory,
  dynamicForwardProxyFactory,
  extAuthzFactory,
  faultFactory,
  grpcHttp1BridgeFactory,
  grpcStatsFactory,
  grpcWebFactory,
  headerMutationFactory,
  headerToMetadataFactory,
  healthCheckFactory,
  alpnFactory,
  istioStatsFactory,
  peerMetadataFactory,
  jwtAuthnFactory,
  localRateLimitFactory,
  ipTaggingFactory,
  setFilterStateFactory,
  setMetadataFactory,
  rateLimitFactory,
  rbacFactory,
  statefulSessionFactory,
  routerFactory,
];

const byType = new Map(httpFilterFactories.map((factory) => [factory.type, factory]));

/** By the full name of a filter's configuration message; undefined where this proxy has no such filter. */
export function findHttpFilter(typeName: string): HttpFilterFactory<unknown, unknown> | undefined {
  return byType.get(typeName);
}

/**
 * Compiles what a level of a route table says for a filter; the wrapper that switches filters on and off is the route
 * table's affair. Undefined for an unknown type where that is optional. Throws ConfigError.
 */
export function compileFilterConfig(filterName: string, any: Any, isOptional: boolean, env: ProxyEnv): unknown {
  const typeName = typeNameOfConfig(any);
  const factory = httpFilterFactories.find(({ routeTypes }) => routeTypes?.includes(typeName));
  if (factory?.compileRoute) return factory.compileRoute(unpackConfig(any).message, env, typeName);
  if (isOptional) return undefined;
  throw new ConfigError("", `no HTTP filter takes ${typeName || "nothing"} from routes (${filterName})`);
}
