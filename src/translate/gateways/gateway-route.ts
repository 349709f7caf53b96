/** Route configurations of gateways by name. Rules: Istio core/gateway.go buildGatewayHTTPRouteConfig. */
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { Built } from "../built.ts";
import { buildEmptyRouteConfiguration, buildRouteConfiguration } from "../routes/route-configuration.ts";
import type { ScopeView } from "../scope.ts";
import { listGatewayVirtualHosts } from "./gateway-virtual-hosts.ts";
import { mergedGatewaysOf } from "./merged-gateways.ts";
import { planGatewayListeners } from "./plan-chains.ts";

/**
 * The route configuration that a gateway asks for by name. A name that no server has gives an empty one: listeners that
 * are being drained still ask for it.
 */
export function buildGatewayRoute(view: ScopeView, name: string): Built<RouteConfiguration> {
  const servers = mergedGatewaysOf(view).serversByRoute.get(name);
  if (servers === undefined) return buildEmptyRouteConfiguration(name);
  return buildRouteConfiguration(name, listGatewayVirtualHosts(view, servers));
}

/** Names of all route configurations that the gateway's listeners ask for, sorted. */
export function listGatewayRouteNames(view: ScopeView): readonly string[] {
  const names = planGatewayListeners(view).listeners.flatMap(({ chains }) =>
    chains.flatMap(({ content }) => (content.kind === "http" ? [content.routeName] : [])),
  );
  return [...new Set(names)].sort();
}
