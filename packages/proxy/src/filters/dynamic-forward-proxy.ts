/** Requests whose host is looked up when they come: the cluster keeps the names, here one that is not found is answered. */
import type {
  FilterConfig,
  PerRouteConfig,
} from "@meltemi/protos/envoy/extensions/filters/http/dynamic_forward_proxy/v3";
import { type Exchange, type HttpFilterFactory, type LocalReply, LocalReplyError } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError } from "../lib/config-error.ts";
import { type ClusterManager, UpstreamError } from "../upstream/types.ts";

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
  compile(config, { clusters }) {
    if (config.sub_cluster_config) throw new ConfigError("sub_cluster_config", "is not supported");
    // dns_cache_config is the cluster's, and both have to be the same.
    return {
      async handle(exchange, next) {
        const host = exchange.perRoute(dynamicForwardProxyFactory)?.(exchange.request);
        if (host) {
          exchange.request.authority = host;
          exchange.info.filterState.set(hostKey, { text: host, value: host });
        }
        await resolve(exchange, clusters);
        return await next(exchange);
      },
    };
  },
};

/** Has the name looked up before the router chooses a host: the request has made no attempt where it is not found. */
async function resolve(exchange: Exchange, clusters: ClusterManager): Promise<void> {
  const { request, connection, route } = exchange;
  if (route?.action.kind !== "forward") return;
  const cluster = clusters.find(route.action.cluster);
  if (cluster?.resolve === undefined) return;
  try {
    const context = { authority: request.authority, downstream: connection, headers: request.headers };
    await cluster.resolve(context);
  } catch (cause: unknown) {
    const reply = cause instanceof UpstreamError ? replyTo(cause) : undefined;
    if (reply === undefined) throw cause;
    exchange.info.clusterName = cluster.name;
    throw new LocalReplyError(reply);
  }
}

function replyTo({ failure, cause }: UpstreamError): LocalReply | undefined {
  const why = String(cause ?? "");
  const name = why.replaceAll(" ", "_");
  if (failure === "overflow") return { status: 503, body: why, details: name.toLowerCase() };
  if (failure !== "dns-failure") return undefined;
  return { status: 503, body: "DNS resolution failure", flags: ["DF"], details: `dns_resolution_failure{${name}}` };
}
