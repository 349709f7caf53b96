import type { Destination, VirtualServiceSpec } from "../api/virtual-service/schema.ts";
import { resolveShortHost } from "../lib/hostname.ts";
import { nameKey } from "./object-store.ts";

/** The rules with full names in all destinations and matches; the same object where every name was full already. */
export function resolveRouteHosts(spec: VirtualServiceSpec, namespace: string, domain: string): VirtualServiceSpec {
  const fix = fixerOf(namespace, domain);
  const http = mapKeeping(spec.http, (route) => {
    const match = mapKeeping(route.match, fix.gateways);
    const targets = mapKeeping(route.route, fix.target);
    const mirror = route.mirror && fix.destination(route.mirror);
    const mirrors = mapKeeping(route.mirrors, fix.target);
    if (match === route.match && targets === route.route && mirror === route.mirror && mirrors === route.mirrors) {
      return route;
    }
    return {
      ...route,
      ...(match && { match }),
      ...(targets && { route: targets }),
      ...(mirror && { mirror }),
      ...(mirrors && { mirrors }),
    };
  });
  const tls = mapKeeping(spec.tls, (route) => {
    const match = mapKeeping(route.match, fix.gateways);
    const targets = mapKeeping(route.route, fix.target);
    if (match === route.match && targets === route.route) return route;
    return { ...route, ...(match && { match }), ...(targets && { route: targets }) };
  });
  const tcp = mapKeeping(spec.tcp, (route) => {
    const match = mapKeeping(route.match, fix.gateways);
    const targets = mapKeeping(route.route, fix.target);
    if (match === route.match && targets === route.route) return route;
    return { ...route, ...(match && { match }), ...(targets && { route: targets }) };
  });
  if (http === spec.http && tls === spec.tls && tcp === spec.tcp) return spec;
  return { ...spec, ...(http && { http }), ...(tls && { tls }), ...(tcp && { tcp }) };
}

/**
 * The full name of a gateway in a rule: "mesh", "namespace/name"; a name alone is in the rule's namespace, and
 * the old form "name.namespace.svc.domain" still counts.
 */
export function resolveGatewayName(name: string, namespace: string): string {
  if (name === "mesh") return name;
  if (name.startsWith("./")) return nameKey(namespace, name.slice(2));
  if (name.includes("/")) return name;
  const [first = "", second] = name.split(".");
  return second === undefined ? nameKey(namespace, name) : nameKey(second, first);
}

function fixerOf(namespace: string, domain: string) {
  const destination = (value: Destination): Destination => {
    const host = resolveShortHost(value.host, namespace, domain);
    return host === value.host ? value : { ...value, host };
  };
  return {
    destination,
    target<Target extends { readonly destination: Destination }>(value: Target): Target {
      const resolved = destination(value.destination);
      return resolved === value.destination ? value : { ...value, destination: resolved };
    },
    gateways<Match extends { readonly gateways?: readonly string[] }>(match: Match): Match {
      const gateways = mapKeeping(match.gateways, (name) => resolveGatewayName(name, namespace));
      return gateways === match.gateways ? match : { ...match, gateways };
    },
  };
}

/** Maps a list; the list itself comes back where no element changed. */
function mapKeeping<Item>(
  items: readonly Item[] | undefined,
  change: (item: Item) => Item,
): readonly Item[] | undefined {
  if (items === undefined) return undefined;
  const changed = items.map(change);
  return changed.every((item, index) => item === items[index]) ? items : changed;
}
