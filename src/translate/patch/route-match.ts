/** Which route configurations, virtual hosts and routes a patch is for (Istio: networking/core/envoyfilter/rc_patch.go). */
import type { Route, RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { parseClusterName } from "../names.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import type { PatchContext } from "./patch-table.ts";

/** The place of a route configuration in a proxy. */
export interface RoutePlace {
  readonly context: PatchContext;
  /** Gateways: numbers of the server ports behind a route configuration; undefined where it has no servers. */
  readonly serverPorts: ReadonlySet<number> | undefined;
}

export function matchesRouteConfiguration(
  { name: own = "" }: RouteConfiguration,
  { match }: CompiledPatch,
  { context, serverPorts }: RoutePlace,
): boolean {
  const { name = "", portNumber = 0, portName = "", gateway = "" } = match.routeConfiguration ?? {};
  if (name !== "" && name !== own) return false;
  if (context !== "GATEWAY") return portNumber === 0 || portNumber === parsePort(own);
  const parsed = parseGatewayRouteName(own);
  if (portName !== "" && portName !== parsed.portName) return false;
  if (gateway !== "" && gateway !== parsed.gateway) return false;
  return portNumber === 0 || (serverPorts?.has(portNumber) ?? portNumber === parsed.port);
}

/** Of inbound routes, named after their cluster, the port of the workload. 0 for names that are more than a port. */
function parsePort(name: string): number {
  if (name.startsWith("inbound")) return parseClusterName(name)?.port ?? 0;
  return /^\d+$/.test(name) ? Number(name) : 0;
}

interface GatewayRouteName {
  readonly port: number;
  readonly portName: string;
  readonly gateway: string;
}

/**
 * What Istio reads from the name of a gateway's routes: all of `https.PORT.PORTNAME.NAME.NAMESPACE`, the port of
 * `http.PORT`, and nothing where an address to bind to follows or a name has a dot in it.
 */
export function parseGatewayRouteName(name: string): GatewayRouteName {
  const [, plain] = /^http\.(\d+)$/.exec(name) ?? [];
  if (plain !== undefined) return { port: Number(plain), portName: "", gateway: "" };
  const parts = name.split(".");
  const [scheme, port = "", portName = "", gateway = "", namespace = ""] = parts;
  if (scheme !== "https" || parts.length !== 5) return { port: 0, portName: "", gateway: "" };
  return { port: /^\d+$/.test(port) ? Number(port) : 0, portName, gateway: `${namespace}/${gateway}` };
}

export function matchesVirtualHost({ name: own = "", domains = [] }: VirtualHost, { match }: CompiledPatch): boolean {
  const { name = "", domainName = "" } = match.routeConfiguration?.vhost ?? {};
  return (name === "" || name === own) && (domainName === "" || domains.includes(domainName));
}

/** True where the patch says which routes it is for. */
export function namesRoute({ match }: CompiledPatch): boolean {
  return match.routeConfiguration?.vhost?.route !== undefined;
}

export function matchesRoute(route: Route, { match }: CompiledPatch): boolean {
  const { name = "", action = "ANY" } = match.routeConfiguration?.vhost?.route ?? {};
  if (name !== "" && name !== (route.name ?? "")) return false;
  if (action === "ANY") return true;
  const own = actionOf(route);
  return own === undefined || own === action;
}

/** Undefined for what Istio has no word for: such a route is one of every kind. */
function actionOf(route: Route): "ROUTE" | "REDIRECT" | "DIRECT_RESPONSE" | undefined {
  if (route.route !== undefined) return "ROUTE";
  if (route.redirect !== undefined) return "REDIRECT";
  return route.direct_response === undefined ? undefined : "DIRECT_RESPONSE";
}
