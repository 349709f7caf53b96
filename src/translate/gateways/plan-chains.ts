/** Which filter chains the servers of a gateway's listener need. Rules: Istio core/gateway.go. */
import { refOf } from "../../api/object.ts";
import { hostsOverlap } from "../../lib/hostname.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Message } from "../../lib/message.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { hasExtension } from "../capabilities.ts";
import { keepMatchableNames } from "../listeners/chain-plan.ts";
import type { RequestSource } from "../routes/request-source.ts";
import type { ScopeView } from "../scope.ts";
import { buildDownstreamTlsContext, type DownstreamTraffic } from "../security/downstream.ts";
import { tlsSocketName } from "../security/transport-socket.ts";
import { findGatewayTcpRoute, listGatewayTlsMatches } from "../tcp-routes/l4-routes.ts";
import { type L4Target, planTarget } from "../tcp-routes/l4-target.ts";
import { planAutoPassthrough } from "./auto-passthrough.ts";
import type { GatewayChainPlan } from "./gateway-chain.ts";
import type { MergedListener, MergedServer } from "./merge-servers.ts";
import { canBind, mergedGatewaysOf } from "./merged-gateways.ts";
import { isOpenTo } from "./server-hosts.ts";
import { isTlsKind } from "./server-kind.ts";

const tlsInspectorName = "envoy.filters.listener.tls_inspector";

export interface GatewayListenerPlan {
  readonly listener: MergedListener;
  /** True for a listener of HTTP/3 beside the one of TCP. */
  readonly isQuic: boolean;
  /** Never empty. */
  readonly chains: readonly GatewayChainPlan[];
}

export interface GatewayListenerPlans {
  /** Sorted by name. Listeners that nothing is behind are left out. */
  readonly listeners: readonly GatewayListenerPlan[];
  /** Rules of virtual services that cannot be told from others. */
  readonly messages: readonly Message[];
}

interface ListenerState {
  readonly view: ScopeView;
  /** Server names that chains of the listener match already: Envoy refuses it where two match the same. */
  readonly takenNames: Set<string>;
  readonly messages: Message[];
}

/** Listeners of a gateway as plans; the same object for the same view. */
export const planGatewayListeners: (view: ScopeView) => GatewayListenerPlans = memoByIdentity(planListeners);

function planListeners(view: ScopeView): GatewayListenerPlans {
  const messages: Message[] = [];
  const listeners = mergedGatewaysOf(view)
    .listeners.filter((listener) => canBind(view, listener))
    .flatMap((listener): readonly GatewayListenerPlan[] => [
      { listener, isQuic: false, chains: planListener(view, listener, messages) },
      planQuic(view, listener),
    ])
    .filter(({ chains }) => chains.length > 0)
    .sort((a, b) => (a.listener.name < b.listener.name ? -1 : 1));
  return { listeners, messages };
}

function planListener(view: ScopeView, { servers }: MergedListener, messages: Message[]): readonly GatewayChainPlan[] {
  const [first] = servers;
  if (first === undefined) return [];
  // One connection manager serves the hosts of all plain HTTP servers.
  if (first.kind === "http") return [planHttp(first, servers)];
  const ended = servers.filter(({ kind }) => kind === "https" || kind === "tlsTcp");
  const state = { view, messages, takenNames: new Set(ended.flatMap(({ serverNames }) => serverNames)) };
  return servers
    .filter((server) => canServe(view, server))
    .flatMap((server) => planServer(state, server))
    .flatMap(keepMatchableNames);
}

/** The same HTTPS servers over HTTP/3, which no gateway passes on unopened. */
function planQuic(view: ScopeView, listener: MergedListener): GatewayListenerPlan {
  const chains = listener.servers
    .filter(({ offersHttp3 }) => offersHttp3)
    .map((server) => ({ ...planHttps(view, server, "quic"), isQuic: true }))
    .flatMap(keepMatchableNames);
  const name = `udp_${listener.name}`;
  return { listener: { ...listener, name }, isQuic: true, chains };
}

/** Without TLS or its inspector no chain is right: plain text in its place would be worse than nothing. */
function canServe({ key }: ScopeView, { kind }: MergedServer): boolean {
  if (!isTlsKind(kind)) return true;
  if (!hasExtension(key.capabilities, tlsInspectorName)) return false;
  return kind === "passthrough" || kind === "autoPassthrough" || hasExtension(key.capabilities, tlsSocketName);
}

function planServer(state: ListenerState, server: MergedServer): readonly GatewayChainPlan[] {
  switch (server.kind) {
    case "http":
      return [planHttp(server, [server])];
    case "https":
      return [planHttps(state.view, server)];
    case "tcp":
    case "tlsTcp":
      return planTcp(state.view, server);
    case "passthrough":
      return planPassthrough(state, server);
    case "autoPassthrough":
      return planAutoPassthrough(state.view, server).filter(({ match }) => takeNames(state, match.serverNames ?? []));
  }
}

function planHttp(first: MergedServer, sharing: readonly MergedServer[]): GatewayChainPlan {
  const { routeName = "", protocol, server } = first;
  const sources = sharing.map(({ source }) => source);
  return { owner: server, match: {}, content: { kind: "http", routeName, protocol }, sources };
}

function planHttps(view: ScopeView, merged: MergedServer, traffic: DownstreamTraffic = "http"): GatewayChainPlan {
  const { server, serverNames, routeName = "", protocol, source } = merged;
  return {
    owner: server,
    match: { serverNames },
    content: { kind: "http", routeName, protocol },
    ...planTls(view, merged, traffic),
    ...(server.name === undefined || server.name === "" ? {} : { statPrefix: server.name }),
    sources: [source],
  };
}

/** The chain for the first virtual service with a rule for the port; none where there is no such rule. */
function planTcp(view: ScopeView, merged: MergedServer): readonly GatewayChainPlan[] {
  const { serverNames, kind, protocol, source, server } = merged;
  for (const virtualService of listVirtualServices(view, merged)) {
    const found = findGatewayTcpRoute(virtualService, requestSourceOf(view, merged));
    const target = found === undefined ? undefined : planRoute(view, virtualService, merged, found.rule.route ?? []);
    if (found === undefined || target === undefined) continue;
    return [
      {
        owner: virtualService.object,
        match: kind === "tlsTcp" ? { serverNames } : {},
        content: { kind: "tcp", protocol, target },
        ...(kind === "tlsTcp" ? planTls(view, merged, "tcp") : {}),
        ...(server.tls?.mode === "ISTIO_MUTUAL" ? { exchangesMetadata: true } : {}),
        sources: [source, ...listOrigins(virtualService, found.path)],
      },
    ];
  }
  return [];
}

/** A chain for each match of a TLS rule; a match with a server name that another chain has is left out. */
function planPassthrough(state: ListenerState, merged: MergedServer): readonly GatewayChainPlan[] {
  const { view, messages } = state;
  const { protocol, source } = merged;
  return listVirtualServices(view, merged).flatMap((virtualService) =>
    listGatewayTlsMatches(virtualService, requestSourceOf(view, merged)).flatMap(({ rule, match, path }) => {
      const target = planRoute(view, virtualService, merged, rule.route ?? []);
      if (target === undefined) return [];
      const serverNames = [...new Set(match.sniHosts)];
      if (!takeNames(state, serverNames)) {
        messages.push({
          level: "error",
          code: "gateway-duplicate-server-name",
          object: refOf(virtualService.object),
          path: `${path}.sniHosts`,
          text: `Gateway ${merged.gateway} has another rule or server for ${serverNames.join(", ")} on this port`,
        });
        return [];
      }
      const sources = [source, ...listOrigins(virtualService, path)];
      const content = { kind: "tcp" as const, protocol, target };
      return [{ owner: virtualService.object, match: { serverNames }, content, sources }];
    }),
  );
}

/** Takes the names for a chain; false, and nothing taken, where one of them is taken already. */
function takeNames({ takenNames }: ListenerState, names: readonly string[]): boolean {
  if (names.some((name) => takenNames.has(name))) return false;
  for (const name of names) takenNames.add(name);
  return true;
}

function planTls(
  { snapshot }: ScopeView,
  { server }: MergedServer,
  traffic: DownstreamTraffic,
): Pick<GatewayChainPlan, "tls"> {
  const { tls = {} } = server;
  const defaults = snapshot.mesh.tlsDefaults ?? {};
  const curves = tls.ecdhCurves ?? [];
  const context = buildDownstreamTlsContext(tls, traffic, {
    ...defaults,
    ...(curves.length === 0 ? {} : { ecdhCurves: curves }),
  });
  return context === undefined ? {} : { tls: context };
}

/** Virtual services of the server's Gateway with a host that overlaps one of its own, oldest first. */
function listVirtualServices(view: ScopeView, { gateway, hosts }: MergedServer): readonly ResolvedVirtualService[] {
  return view.listGatewayVirtualServices(gateway).filter((virtualService) => {
    const { namespace } = virtualService.object.meta;
    const open = hosts.filter((host) => isOpenTo(host, namespace));
    return virtualService.hosts.some((host) => open.some((own) => hostsOverlap(own.host, host)));
  });
}

function requestSourceOf({ key }: ScopeView, { gateway, server }: MergedServer): RequestSource {
  return { gateways: new Set([gateway]), port: server.port.number, labels: key.labels, namespace: key.namespace };
}

function planRoute(
  view: ScopeView,
  virtualService: ResolvedVirtualService,
  merged: MergedServer,
  routes: Parameters<typeof planTarget>[0],
): L4Target | undefined {
  return planTarget(routes, refOf(virtualService.object), { view, port: merged.server.port.number });
}

function listOrigins(virtualService: ResolvedVirtualService, path: string): GatewayChainPlan["sources"] {
  return [{ object: refOf(virtualService.object), path }];
}
