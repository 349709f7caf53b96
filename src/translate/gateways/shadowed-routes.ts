/**
 * Rules on a gateway's host that no request reaches, because a rule of an older object takes everything there. They are
 * sent nevertheless, as Istio does: the older object may go.
 */
import type { Route } from "@meltemi/protos/envoy/config/route/v3";
import { formatObjectRef, type Message, objectKey } from "../../lib/message.ts";
import { sourcesOf } from "../built.ts";
import { isCatchAllMatch } from "../routes/route-match.ts";
import type { ScopeView } from "../scope.ts";
import { listGatewayVirtualHosts } from "./gateway-virtual-hosts.ts";
import { mergedGatewaysOf } from "./merged-gateways.ts";

/** A warning for each such rule, once, with the first of its hosts. */
export function listShadowedRoutes(view: ScopeView): readonly Message[] {
  const messages = new Map<string, Message>();
  for (const servers of mergedGatewaysOf(view).serversByRoute.values()) {
    for (const { domains = [], routes = [] } of listGatewayVirtualHosts(view, servers)) {
      for (const message of listShadowed(routes, domains[0] ?? "")) {
        const identity = `${objectKey(message.object)}\n${message.path}`;
        if (!messages.has(identity)) messages.set(identity, message);
      }
    }
  }
  return [...messages.values()];
}

function listShadowed(routes: readonly Route[], domain: string): readonly Message[] {
  const [first, ...others] = routes.filter(({ match }) => match !== undefined && isCatchAllMatch(match));
  const winner = first === undefined ? undefined : sourcesOf(first)[0]?.object;
  if (winner === undefined) return [];
  return others.flatMap((route): readonly Message[] => {
    const [source] = sourcesOf(route);
    // A server that leads to the same host twice shadows nothing.
    if (source === undefined || objectKey(source.object) === objectKey(winner)) return [];
    const text = `is never reached on ${domain}: ${formatObjectRef(winner)} takes everything there`;
    return [{ level: "warning", code: "shadowed-route", object: source.object, path: source.path, text }];
  });
}
