/** Route configurations of sidecars by name. Rules: Istio httproute.go buildSidecarOutboundHTTPRouteConfig. */
import { bool, u32 } from "@meltemi/protos";
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { type ObjectRef, objectKey } from "../../lib/message.ts";
import { isHttp, isUnsupported } from "../../lib/protocol.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { atPort, type Service, type ServicePort } from "../../model/service.ts";
import { type Built, sourcesOf, withSources } from "../built.ts";
import {
  buildPortRouteName,
  buildServiceRouteName,
  httpProxyRoute,
  type OutboundRouteName,
  parseOutboundRouteName,
} from "../names.ts";
import type { EgressListener, ScopeView } from "../scope.ts";
import { listClientAddresses } from "./host-domains.ts";
import { routeFactsOf } from "./route-facts.ts";
import { type DroppedDomain, listSidecarVirtualHosts } from "./sidecar-virtual-hosts.ts";
import { findUnknownHost } from "./unknown-host.ts";

/** Istio lets direct responses be as long as its validation does: 1 MiB instead of Envoy's 4 KiB. */
export const maxDirectResponseBodySize = u32(1024 * 1024);

const keptConfigurations = createSlotMemo<Built<RouteConfiguration>>();
const keptServiceHosts = createSlotMemo<VirtualHost>();

/**
 * The route configuration that a sidecar asks for by name. A name that is none of Istio's gives an empty one, so that
 * the listener that waits for it goes on (Envoy answers 404 there).
 */
export function routeConfiguration(view: ScopeView, name: string): Built<RouteConfiguration> {
  const parsed = parseOutboundRouteName(name);
  if (parsed === undefined) return buildEmptyRouteConfiguration(name);
  const known = findVirtualHosts(view, parsed, name);
  // A rule for "*" takes what is unknown too; Envoy refuses a second host for everything.
  const isComplete = parsed.kind === "service" || known.some(({ domains }) => domains?.includes("*"));
  const hosts = isComplete ? known : [...known, findUnknownHost(view, routeFactsOf(view))];
  // Where all ports of a service are called by one listener, their domains say the port: it has to be compared.
  const comparesPort = findPlace(view, parsed, name)?.port === 0;
  return buildRouteConfiguration(name, hosts, comparesPort);
}

/** A route configuration of these virtual hosts, in their order; the same object for the same hosts. */
export function buildRouteConfiguration(
  name: string,
  hosts: readonly VirtualHost[],
  comparesPort = false,
): Built<RouteConfiguration> {
  const build = (): Built<RouteConfiguration> => ({
    name,
    message: {
      name,
      ...(hosts.length === 0 ? {} : { virtual_hosts: hosts }),
      validate_clusters: bool(false),
      max_direct_response_body_size_bytes: maxDirectResponseBodySize,
      ...(comparesPort ? {} : { ignore_port_in_host_matching: true }),
    },
    sources: listSources(hosts),
  });
  const [first] = hosts;
  return first === undefined
    ? build()
    : keptConfigurations({ owner: first, slot: `${name}|${comparesPort}` }, hosts, build);
}

export function buildEmptyRouteConfiguration(name: string): Built<RouteConfiguration> {
  return { name, message: { name, validate_clusters: bool(false) }, sources: [] };
}

/** Domains that were left out of a route configuration because an earlier virtual host has them. */
export function listDroppedDomains(view: ScopeView, name: string): readonly DroppedDomain[] {
  const parsed = parseOutboundRouteName(name);
  const place = parsed === undefined ? undefined : findPlace(view, parsed, name);
  return place === undefined ? [] : listSidecarVirtualHosts(view, place.listener, place.port).dropped;
}

/** Names of the route configurations that the scope's listeners ask for: the port, or `host:port` where one service's
 * protocol is found out by the proxy. Routers have none here. */
export function routeNames(view: ScopeView): readonly string[] {
  const names = new Set(view.egressListeners.flatMap((listener) => listListenerRoutes(view, listener)));
  const proxyPort = view.key.httpProxyPort ?? view.snapshot.mesh.proxyHttpPort ?? 0;
  if (view.key.proxyType === "sidecar" && proxyPort > 0) names.add(httpProxyRoute);
  return [...names].sort();
}

interface Place {
  readonly listener: EgressListener;
  /** 0 for all ports. */
  readonly port: number;
}

function findVirtualHosts(view: ScopeView, parsed: OutboundRouteName, name: string): readonly VirtualHost[] {
  const place = findPlace(view, parsed, name);
  if (place === undefined) return [];
  const { hosts } = listSidecarVirtualHosts(view, place.listener, place.port);
  if (parsed.kind !== "service") return hosts;
  const own = hosts.filter(({ domains }) => domains?.includes(parsed.hostname) || domains?.includes(name));
  // The listener is bound to the service's address: whatever host a request names, it is for this service.
  return own.length === 1 ? own.map(answerToAll) : own;
}

function answerToAll(host: VirtualHost): VirtualHost {
  return keptServiceHosts({ owner: host, slot: "*" }, [], () =>
    withSources({ ...host, domains: ["*"] }, sourcesOf(host)),
  );
}

/** The egress listener of a route name: the declared one, otherwise the one that catches all. */
function findPlace(view: ScopeView, parsed: OutboundRouteName, name: string): Place | undefined {
  const port = parsed.kind === "port" || parsed.kind === "service" ? parsed.port : 0;
  const listener = view.egressListeners.find((candidate) => {
    if (candidate.port === undefined) return true;
    if (candidate.port.number !== port) return false;
    return port !== 0 || candidate.bind === name;
  });
  if (listener === undefined) return undefined;
  return { listener, port: listener.port?.protocol === "HTTP_PROXY" ? 0 : port };
}

function listListenerRoutes(view: ScopeView, listener: EgressListener): readonly string[] {
  const { port, bind } = listener;
  if (port !== undefined) {
    if (!isHttp(port.protocol) && !isUnsupported(port.protocol)) return [];
    return port.number === 0 ? [bind ?? ""] : [buildPortRouteName(port.number)];
  }
  return listener.services.flatMap((service) => {
    if (service.resolution === "alias") return [];
    return service.ports.flatMap((servicePort) => listServiceRoutes(view, service, servicePort));
  });
}

function listServiceRoutes(view: ScopeView, service: Service, port: ServicePort): readonly string[] {
  if (isHttp(port.protocol)) return [buildPortRouteName(port.number)];
  if (!isUnsupported(port.protocol)) return [];
  return [
    hasOwnListener(view, service, port)
      ? buildServiceRouteName(service.hostname, port.number)
      : buildPortRouteName(port.number),
  ];
}

/** True where a listener is bound to an address of the service, or to each of its pods. */
function hasOwnListener(view: ScopeView, service: Service, port: ServicePort): boolean {
  const [address] = listClientAddresses(view.key, atPort(service, port.number));
  if (address !== undefined) return !address.includes("/");
  if (service.resolution !== "passthrough" || service.registry !== "Kubernetes") return false;
  const endpoints = view.snapshot.endpoints.list(service.hostname, service.namespace);
  return endpoints.some((endpoint) => endpoint.servicePortName === port.name);
}

function listSources(hosts: readonly VirtualHost[]): readonly ObjectRef[] {
  const refs = new Map<string, ObjectRef>();
  for (const host of hosts) for (const { object } of sourcesOf(host)) refs.set(objectKey(object), object);
  return [...refs.values()];
}
