/** Requests whose host is looked up when they come: the cluster does that, here only their host may be another. */
import type {
  FilterConfig,
  PerRouteConfig,
} from "@meltemi/protos/envoy/extensions/filters/http/dynamic_forward_proxy/v3";
import type { HttpFilterFactory } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError } from "../lib/config-error.ts";

/** The host to look up; undefined leaves that of the request. */
type FindHost = (request: HttpRequest) => string | undefined;

/** Where the cluster looks for a host that is not the request's authority, as Envoy names it. */
const hostKey = "envoy.upstream.dynamic_host";

export const dynamicForwardProxyFactory: HttpFilterFactory<FilterConfig, FindHost> = {
  name: "envoy.filters.http.dynamic_forward_proxy",
  type: "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
  routeTypes: ["envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig"],
  compileRoute(config) {
    const { host_rewrite_literal: literal, host_rewrite_header: header } = config as PerRouteConfig;
    if (literal) return () => literal;
    const name = header?.toLowerCase() ?? "";
    return ({ headers }) => (name === "" ? undefined : headers.get(name));
  },
  compile(config) {
    if (config.sub_cluster_config) throw new ConfigError("sub_cluster_config", "is not supported");
    // dns_cache_config is the cluster's, and both have to be the same.
    return {
      handle(exchange, next) {
        const host = exchange.perRoute(dynamicForwardProxyFactory)?.(exchange.request);
        if (host) {
          exchange.request.authority = host;
          exchange.info.filterState.set(hostKey, { text: host, value: host });
        }
        return next(exchange);
      },
    };
  },
};
