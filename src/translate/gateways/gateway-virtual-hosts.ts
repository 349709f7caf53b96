/** Virtual hosts of a gateway's route configuration. Rules: Istio core/gateway.go buildGatewayHTTPRouteConfig. */
import type { Route, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { memoByIdentity } from "../../lib/memo.ts";
import { objectKey } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { type PartSource, sourcesOf, withSources } from "../built.ts";
import { buildBlackholeVirtualHostName } from "../names.ts";
import { destinationsNear } from "../routes/destinations.ts";
import { findPersistentSession } from "../routes/persistent-session.ts";
import { routeFactsOf } from "../routes/route-facts.ts";
import { indexVirtualServices } from "../routes/view-index.ts";
import { buildVirtualHost } from "../routes/virtual-host.ts";
import { buildVirtualServiceRoutes, sortCatchAllLast } from "../routes/virtual-service-routes.ts";
import type { ScopeView } from "../scope.ts";
import type { MergedServer } from "./merge-servers.ts";
import { compareHostNames, formatServerHost, intersectHosts } from "./server-hosts.ts";

/** A host while virtual services add their routes to it. */
interface HostDraft {
  readonly hostname: string;
  /** Port of the server that names the host first. */
  readonly port: number;
  /** Routes of one virtual service each, in the order of servers and then of age. */
  readonly parts: (readonly Route[])[];
  readonly sources: PartSource[];
  requiresTls: boolean;
  /** How the service of that name keeps sessions, where a rule leads there: see findPersistentSession. */
  session: string | undefined;
}

/** Hosts that are one virtual host on the wire: their routes are the very same. */
interface HostGroup {
  readonly first: HostDraft;
  readonly domains: string[];
  readonly sources: PartSource[];
}

const keptHosts = createSlotMemo<VirtualHost>();
const keptRoutes = createSlotMemo<readonly Route[]>(64);
const originsOf = memoByIdentity((virtualService: ResolvedVirtualService): readonly PartSource[] =>
  virtualService.sources.map((object) => ({ object, path: "" })),
);

/**
 * Virtual hosts of the servers that share a route configuration, sorted by name; never empty. Hosts whose virtual
 * services, servers and redirects stay the same give the same objects again.
 */
export function listGatewayVirtualHosts(view: ScopeView, servers: readonly MergedServer[]): readonly VirtualHost[] {
  const drafts = collectHosts(view, servers);
  const [first] = servers;
  if (drafts.size === 0) return first === undefined ? [] : [buildBlackhole(first)];
  return groupHosts([...drafts.values()])
    .map((group) => buildHost(view, group))
    .sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1));
}

function collectHosts(view: ScopeView, servers: readonly MergedServer[]): ReadonlyMap<string, HostDraft> {
  const drafts = new Map<string, HostDraft>();
  const built = new Map<string, Map<ResolvedVirtualService, readonly Route[]>>();
  for (const server of servers) {
    const routesOf = built.get(server.gateway) ?? new Map<ResolvedVirtualService, readonly Route[]>();
    built.set(server.gateway, routesOf);
    for (const virtualService of listCandidates(view, server)) {
      const { namespace } = virtualService.object.meta;
      const hosts = intersectHosts(server.hostIndex, { hosts: virtualService.hosts, namespace });
      if (hosts.length === 0) continue;
      // Built once for each Gateway, even where ports of several servers lead here: the hosts then stay one.
      const routes = routesOf.get(virtualService) ?? advertiseHttp3(buildRoutes(view, virtualService, server), server);
      // Where no rule is for this port, one may be for the port of the next server.
      if (routes.length === 0) continue;
      routesOf.set(virtualService, routes);
      const ofHosts = hosts.map((host) => draftOf(drafts, host, server));
      addRoutes(view, ofHosts, { virtualService, routes });
    }
    // A redirect needs no virtual service: there is nothing to route. Istio takes the hosts with their namespaces here.
    if (server.server.tls?.httpsRedirect !== true) continue;
    for (const host of server.hosts) draftOf(drafts, formatServerHost(host), server).requiresTls = true;
  }
  return drafts;
}

/** Virtual services of the server's Gateway that may have a host in common with it, oldest first. */
function listCandidates(view: ScopeView, { gateway, serverNames }: MergedServer): readonly ResolvedVirtualService[] {
  const all = view.listGatewayVirtualServices(gateway);
  if (serverNames.includes("*")) return all;
  const index = indexVirtualServices(all);
  const found = new Set(serverNames.flatMap((host) => index.listForHost(host)));
  return found.size === all.length ? all : all.filter((virtualService) => found.has(virtualService));
}

/** Most changes leave services and rules of destinations alone: then not even these are looked up again. */
function buildRoutes(
  view: ScopeView,
  virtualService: ResolvedVirtualService,
  { gateway, server }: MergedServer,
): readonly Route[] {
  const { snapshot, key } = view;
  const port = server.port.number;
  const isTls = server.tls !== undefined;
  const slot = `${key.id} ${gateway} ${port} ${isTls}`;
  return keptRoutes(
    { owner: virtualService, slot },
    [snapshot.services.all, snapshot.destinationRules, snapshot.mesh],
    () =>
      buildVirtualServiceRoutes(virtualService, {
        view,
        gateways: new Set([gateway]),
        port,
        isTls,
        findDestination: destinationsNear(view, virtualService.object.meta.namespace),
      }),
  );
}

const advertised = createSlotMemo<readonly Route[]>();

/** The routes, and with them where HTTP/3 is to be had, if it is: browsers come by TCP until they are told. */
function advertiseHttp3(routes: readonly Route[], { server, offersHttp3 }: MergedServer): readonly Route[] {
  if (!offersHttp3) return routes;
  const { number } = server.port;
  const header = { header: { key: "alt-svc", value: `h3=":${number}"; ma=86400` } };
  return advertised({ owner: routes, slot: String(number) }, [], () =>
    routes.map((route) => {
      const added = [...(route.response_headers_to_add ?? []), header];
      return withSources({ ...route, response_headers_to_add: added }, sourcesOf(route));
    }),
  );
}

function findSession(view: ScopeView, { spec }: ResolvedVirtualService, hostname: string): string | undefined {
  const isDestination = (spec.http ?? []).some(({ route = [], mirror, mirrors = [] }) =>
    [...route, ...mirrors, { destination: mirror }].some(({ destination }) => destination?.host === hostname),
  );
  return isDestination ? findPersistentSession(view.findService(hostname), view) : undefined;
}

function draftOf(drafts: Map<string, HostDraft>, host: string, { server, source }: MergedServer): HostDraft {
  const hostname = host.toLowerCase();
  const known = drafts.get(hostname);
  const draft = known ?? {
    hostname,
    port: server.port.number,
    parts: [],
    sources: [],
    requiresTls: false,
    session: undefined,
  };
  if (known === undefined) drafts.set(hostname, draft);
  addSources(draft.sources, [source]);
  if (server.tls?.httpsRedirect === true) draft.requiresTls = true;
  return draft;
}

interface RulePart {
  readonly virtualService: ResolvedVirtualService;
  readonly routes: readonly Route[];
}

function addRoutes(view: ScopeView, drafts: readonly HostDraft[], { virtualService, routes }: RulePart): void {
  for (const draft of drafts) {
    if (draft.parts.length === 0) draft.session = findSession(view, virtualService, draft.hostname);
    draft.parts.push(routes);
    addSources(draft.sources, originsOf(virtualService));
  }
}

/**
 * Hosts with the very same routes become one virtual host with several domains, which keeps a virtual service of many
 * hosts from being sent once for each (Istio: collapseDuplicateRoutes). The first by Istio's order of hosts names it.
 */
function groupHosts(drafts: readonly HostDraft[]): readonly HostGroup[] {
  const ids = new Map<readonly Route[], number>();
  const groups: HostGroup[] = [];
  const latest = new Map<string, HostGroup>();
  for (const draft of drafts.toSorted((a, b) => compareHostNames(a.hostname, b.hostname))) {
    const key = draft.parts.map((part) => ids.get(part) ?? ids.set(part, ids.size).get(part)).join();
    const group = latest.get(key);
    if (group?.first.requiresTls === draft.requiresTls && group.first.session === draft.session) {
      group.domains.push(draft.hostname);
      addSources(group.sources, draft.sources);
      continue;
    }
    const added = { first: draft, domains: [draft.hostname], sources: [...draft.sources] };
    groups.push(added);
    latest.set(key, added);
  }
  return groups;
}

function buildHost(view: ScopeView, { first, domains, sources }: HostGroup): VirtualHost {
  const { hostname, port, parts, requiresTls, session } = first;
  const facts = routeFactsOf(view);
  const [owner = view.snapshot.mesh] = parts;
  const origins = sources.map(({ object, path }) => `${objectKey(object)}#${path}`);
  const slot = `${domains.join()} ${port} ${requiresTls} ${session ?? ""} ${facts.includesAttemptCount} ${origins.join()}`;
  return keptHosts({ owner, slot }, parts, () => {
    const routes = sortCatchAllLast(parts.flat());
    return buildVirtualHost({ hostname, port, domains, routes, sources, requiresTls, session }, facts);
  });
}

/** Answers everything with 404: a listener without virtual hosts would wait for some. */
function buildBlackhole({ server, source }: MergedServer): VirtualHost {
  return keptHosts({ owner: server, slot: source.path }, [], () =>
    withSources({ name: buildBlackholeVirtualHostName(server.port.number), domains: ["*"] }, [source]),
  );
}

function addSources(list: PartSource[], added: readonly PartSource[]): void {
  for (const source of added) {
    const isKnown = list.some(({ object, path }) => {
      if (path !== source.path || object.name !== source.object.name) return false;
      return object.kind === source.object.kind && object.namespace === source.object.namespace;
    });
    if (!isKnown) list.push(source);
  }
}
