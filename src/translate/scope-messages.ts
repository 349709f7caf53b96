/** What is to be said about objects as one scope sees them: other scopes may see them differently. */
import { type Message, objectKey } from "../lib/message.ts";
import { listGatewayMessages } from "./gateways/gateway-listeners.ts";
import { listShadowedRoutes } from "./gateways/shadowed-routes.ts";
import { listListenerMessages } from "./listeners/outbound-entries.ts";
import { listDroppedDomains, routeNames } from "./routes/route-configuration.ts";
import type { DroppedDomain } from "./routes/sidecar-virtual-hosts.ts";
import type { ScopeView } from "./scope.ts";
import { listCredentialMessages } from "./security/credential-messages.ts";

/**
 * For routers what is wrong with Gateways and the rules behind them, and rules that are never reached; for sidecars
 * addresses, hosts and domains that an object asks for in vain, because an earlier one has them. Each message once.
 */
export function listScopeMessages(view: ScopeView): readonly Message[] {
  if (view.key.proxyType === "router") {
    return [...listGatewayMessages(view), ...listShadowedRoutes(view), ...listCredentialMessages(view)];
  }
  const messages = routeNames(view)
    .flatMap((name) => listDroppedDomains(view, name))
    .flatMap(describeDropped);
  // The routes of a port and of one service on it, or of all ports at once, drop the same; so do addresses of a service.
  return [
    ...new Map(
      [...listListenerMessages(view), ...messages].map((message) => [formatIdentity(message), message]),
    ).values(),
  ];
}

function describeDropped({ virtualHost, domain, sources }: DroppedDomain): readonly Message[] {
  const [source] = sources;
  if (source === undefined) return [];
  const { object, path } = source;
  const [code, text] =
    domain === undefined
      ? ["duplicate-host", `has no effect on ${virtualHost}: an older object has this host and port`]
      : ["duplicate-domain", `does not lead "${domain}" to ${virtualHost}: another host has this name or address`];
  return [{ level: "warning", code, object, path, text }];
}

function formatIdentity({ object, path, text }: Message): string {
  return `${objectKey(object)}\n${path}\n${text}`;
}
