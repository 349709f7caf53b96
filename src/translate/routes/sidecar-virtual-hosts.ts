/**
 * Virtual hosts of a sidecar's egress port: those of virtual services first, then the services that none routes. Rules:
 * Istio httproute.go BuildSidecarOutboundVirtualHosts, route.go BuildSidecarVirtualHostWrapper.
 */

import type { Route, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { refOf } from "../../api/object.ts";
import { joinHostPort } from "../../lib/host-port.ts";
import { hostIsWithin, isWildcardHost } from "../../lib/hostname.ts";
import { isHttp, isUnsupported } from "../../lib/protocol.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { compareText } from "../../lib/text-order.ts";
import { atPort, type Service, type ServicePort } from "../../model/service.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import type { PartSource } from "../built.ts";
import type { EgressListener, ScopeView } from "../scope.ts";
import { destinationsOfPort, findPort } from "./destinations.ts";
import { findServiceHash } from "./hash-policy.ts";
import { type DomainList, listHostDomains, listServiceDomains } from "./host-domains.ts";
import { findPersistentSession } from "./persistent-session.ts";
import { meshGateways } from "./request-source.ts";
import { type RouteFacts, routeFactsOf } from "./route-facts.ts";
import { routeSemanticsOf } from "./route-semantics.ts";
import { indexServices, indexVirtualServices, indexWildcardServices } from "./view-index.ts";
import { buildDefaultRoute, buildVirtualHost } from "./virtual-host.ts";
import { buildVirtualServiceRoutes } from "./virtual-service-routes.ts";

/** Where virtual services apply also to hosts that no service has. */
const plainHttpPort = 80;

/** A domain that an earlier virtual host has already: it was left out of this one. */
export interface DroppedDomain {
  readonly virtualHost: string;
  /** Undefined where the whole virtual host came twice. */
  readonly domain: string | undefined;
  readonly sources: readonly PartSource[];
}

export interface PortVirtualHosts {
  /** Sorted by name. */
  readonly hosts: readonly VirtualHost[];
  readonly dropped: readonly DroppedDomain[];
}

const keptHosts = createSlotMemo<VirtualHost>();
const keptPorts = createSlotMemo<PortVirtualHosts>();

/**
 * All virtual hosts of a port of an egress listener; `port` 0 stands for all ports at once, as an HTTP proxy or a
 * socket is asked. Virtual hosts are the same objects as before where nothing that made them changed.
 */
export function listSidecarVirtualHosts(view: ScopeView, listener: EgressListener, port: number): PortVirtualHosts {
  return keptPorts({ owner: view, slot: `${port}` }, [listener], () => {
    const context = createPortContext(view, listener, port);
    const groups = listener.virtualServices.flatMap((virtualService) => listGroups(virtualService, context));
    const routed = new Set(groups.flatMap((group) => group.services));
    const rest = context.services.filter((service) => !routed.has(service) && service.resolution !== "alias");
    const plans = [...groups.flatMap((group) => planGroup(group, context)), ...planServices(rest, context)];
    return buildHosts(plans, context);
  });
}

interface PortContext {
  readonly view: ScopeView;
  readonly facts: RouteFacts;
  readonly listener: EgressListener;
  readonly port: number;
  /** Services of the listener that have the port. */
  readonly services: readonly Service[];
  readonly byHostname: ReadonlyMap<string, Service>;
  readonly hasService: (hostname: string) => boolean;
  /** Hosts of services that are wildcards themselves. */
  readonly wideHosts: readonly string[];
  readonly wildcardServices: ReadonlyMap<string, readonly Service[]>;
}

/** One virtual service on one port: the hosts and services that share its routes. */
interface Group {
  readonly virtualService: ResolvedVirtualService;
  readonly port: number;
  /** Hosts that no service has. */
  readonly hosts: readonly string[];
  readonly services: readonly Service[];
  readonly routes: readonly Route[];
}

interface HostPlan {
  readonly hostname: string;
  readonly port: number;
  readonly service: Service | undefined;
  readonly sources: readonly PartSource[];
  /** What the built host hangs on: it is kept for the owner as long as the inputs are the same. */
  readonly owner: object;
  readonly inputs: readonly unknown[];
  readonly listRoutes: () => readonly Route[];
}

function createPortContext(view: ScopeView, listener: EgressListener, port: number): PortContext {
  const index = indexServices(listener.services);
  const { byHostname } = index;
  const services = port === 0 ? listener.services : index.listByPort(port);
  return {
    view,
    facts: routeFactsOf(view),
    listener,
    port,
    byHostname,
    services,
    wideHosts: services.map(({ hostname }) => hostname).filter(isWildcardHost),
    hasService: (hostname) => hasPort(byHostname.get(hostname), port),
    wildcardServices: indexWildcardServices(listener.services, listener.virtualServices),
  };
}

function listGroups(virtualService: ResolvedVirtualService, context: PortContext): readonly Group[] {
  const { view, port } = context;
  if (port !== plainHttpPort && !hasHostOnPort(virtualService, context)) return [];
  const findDestination = destinationsOfPort(context.byHostname, port);
  const routeContext = { view, gateways: meshGateways, port, isTls: false, findDestination };
  const routes = buildVirtualServiceRoutes(virtualService, routeContext);
  if (routes.length === 0) return [];
  const { hosts, services } = separateHosts(virtualService, context);
  const allowed = services.filter((service) => mayRoute(virtualService, service, view));
  // The Gateway API: routes count for services of their own namespace, or for clients in it.
  if (routeSemanticsOf(virtualService) === "gateway" && allowed.length === 0) return [];
  const byPort = new Map<number, Service[]>();
  for (const service of allowed) {
    for (const { number } of listHttpPorts(service, port)) byPort.set(number, [...(byPort.get(number) ?? []), service]);
  }
  if (byPort.size === 0 && port === plainHttpPort) byPort.set(plainHttpPort, []);
  return [...byPort].map(([number, members]) => ({ virtualService, port: number, hosts, services: members, routes }));
}

/** True where a host of the virtual service is, or overlaps, a service of the port. */
function hasHostOnPort(virtualService: ResolvedVirtualService, context: PortContext): boolean {
  return virtualService.hosts.some((host) => {
    if (context.hasService(host.toLowerCase())) return true;
    if (!isWildcardHost(host)) return context.wideHosts.some((wide) => hostIsWithin(host, wide));
    return (context.wildcardServices.get(host) ?? []).some((service) => hasPort(service, context.port));
  });
}

/** Splits the hosts of a virtual service into services and names that no service has. */
function separateHosts(
  virtualService: ResolvedVirtualService,
  context: PortContext,
): { readonly hosts: readonly string[]; readonly services: readonly Service[] } {
  const hosts: string[] = [];
  const services = new Set<Service>();
  const exact = virtualService.hosts.filter((host) => !isWildcardHost(host));
  for (const host of exact.map((name) => name.toLowerCase())) {
    const service = context.byHostname.get(host);
    if (service !== undefined && hasPort(service, context.port)) services.add(service);
    else hosts.push(host);
  }
  const { findMostSpecific } = indexVirtualServices(context.listener.virtualServices);
  for (const host of virtualService.hosts.filter(isWildcardHost)) {
    const isGateway = routeSemanticsOf(virtualService) === "gateway";
    const covered = (context.wildcardServices.get(host) ?? []).filter((service) => hasPort(service, context.port));
    if (isGateway || covered.length === 0) {
      hosts.push(host.toLowerCase());
      continue;
    }
    for (const service of covered)
      if (findMostSpecific(service.hostname.toLowerCase()) === virtualService) services.add(service);
  }
  return { hosts, services: [...services] };
}

function mayRoute(virtualService: ResolvedVirtualService, service: Service, view: ScopeView): boolean {
  if (routeSemanticsOf(virtualService) !== "gateway") return true;
  const { namespace } = virtualService.object.meta;
  return service.namespace === namespace || view.key.namespace === namespace;
}

function planGroup(group: Group, context: PortContext): readonly HostPlan[] {
  const { virtualService, port, routes } = group;
  const own = [{ object: refOf(virtualService.object), path: "spec.hosts" }];
  const delegates = virtualService.sources.slice(1).map((object) => ({ object, path: "" }));
  const shared = { port, owner: routes, listRoutes: () => routes };
  const hosts = group.hosts.map((hostname): HostPlan => {
    return { ...shared, hostname, service: undefined, inputs: [], sources: [...own, ...delegates] };
  });
  const services = group.services.map((service): HostPlan => {
    const sources = [...own, ...delegates, { object: service.object, path: "" }];
    return { ...shared, hostname: hostnameIn(context, service), service, inputs: [], sources };
  });
  return context.port === 0 || port === context.port ? [...hosts, ...services] : [];
}

function planServices(services: readonly Service[], context: PortContext): readonly HostPlan[] {
  const { view, facts } = context;
  return services.flatMap((service) => {
    const ports = listHttpPorts(service, context.port);
    const rule = ports.length === 0 ? undefined : view.findDestinationRule(service);
    return ports.map(({ number: port }): HostPlan => {
      const hash = findServiceHash(rule, port);
      const listRoutes = (): readonly Route[] => [buildDefaultRoute({ service, port, hash }, facts)];
      const sources = [{ object: service.object, path: "" }];
      return {
        hostname: hostnameIn(context, service),
        port,
        service,
        owner: service,
        inputs: [hash],
        sources,
        listRoutes,
      };
    });
  });
}

/** Istio writes hosts in lower case where a route configuration is for one port. */
function hostnameIn({ port }: PortContext, { hostname }: Service): string {
  return port === 0 ? hostname : hostname.toLowerCase();
}

/** Builds the hosts one after the other: who comes first keeps a name or a domain that comes twice. */
function buildHosts(plans: readonly HostPlan[], context: PortContext): PortVirtualHosts {
  const fullNames = new Set(
    plans.flatMap(({ service, hostname, port }) =>
      service === undefined ? [] : [hostname, joinHostPort(hostname, port)],
    ),
  );
  const names = new Set<string>();
  const taken = new Set<string>();
  const hosts: VirtualHost[] = [];
  const dropped: DroppedDomain[] = [];
  for (const plan of plans) {
    const virtualHost = joinHostPort(plan.hostname, plan.port);
    const drop = (domain?: string): void => void dropped.push({ virtualHost, domain, sources: plan.sources });
    if (names.has(virtualHost)) {
      drop();
      continue;
    }
    names.add(virtualHost);
    const list = listDomains(plan, context);
    const free = list.domains.filter((domain, index) => {
      // A name without port means port 80 where hosts are compared with their port.
      if (context.port === 0 && plan.port !== plainHttpPort && !domain.includes(":")) return false;
      const key = list.keys[index] ?? domain;
      // A short form never takes the place of the service that really has this name.
      if (taken.has(key) || (fullNames.has(domain) && list.shortForms.has(domain))) {
        drop(domain);
        return false;
      }
      taken.add(key);
      return true;
    });
    const id = free.length === list.domains.length ? list.id : free.join(",");
    if (free.length > 0) hosts.push(keepHost(plan, { domains: free, id }, context));
  }
  return { hosts: hosts.sort(compareNames), dropped };
}

function keepHost(
  plan: HostPlan,
  { domains, id }: { readonly domains: readonly string[]; readonly id: string },
  { facts, view }: Pick<PortContext, "facts" | "view">,
): VirtualHost {
  const session = findPersistentSession(plan.service, view);
  const slot = `${plan.hostname}:${plan.port}|${id}|${facts.id}|${session ?? ""}`;
  return keptHosts({ owner: plan.owner, slot }, plan.inputs, () => {
    const { hostname, port, sources } = plan;
    return buildVirtualHost({ hostname, port, domains, sources, session, routes: plan.listRoutes() }, facts);
  });
}

function listDomains(plan: HostPlan, context: PortContext): DomainList {
  if (plan.service === undefined) return listHostDomains(plan.hostname);
  // Ports in hosts are ignored by the route configuration, except where one stands for all ports.
  const part = atPort(plan.service, plan.port);
  return listServiceDomains(context.view.key, part, context.port === 0 ? plan.port : undefined);
}

/** The ports that HTTP may be spoken on. */
function listHttpPorts(service: Service, port: number): readonly ServicePort[] {
  const candidates = port === 0 ? service.ports : [findPort(service, port) ?? []].flat();
  return candidates.filter(({ protocol }) => isHttp(protocol) || isUnsupported(protocol));
}

function hasPort(service: Service | undefined, port: number): boolean {
  return service !== undefined && (port === 0 || findPort(service, port) !== undefined);
}

function compareNames(a: VirtualHost, b: VirtualHost): number {
  return compareText(a.name ?? "", b.name ?? "");
}
