/**
 * What a Sidecar resource lets its workloads know of the mesh (Istio: model/sidecar.go): for each egress listener the
 * services and virtual services that it imports, and over all of them the services that need clusters, among these also
 * the destinations of the imported virtual services.
 */
import { refOf } from "../../api/object.ts";
import type { EgressListener as EgressSpec, Sidecar } from "../../api/sidecar/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { parseProtocol } from "../../lib/protocol.ts";
import { createSlotMemo, memoByKey } from "../../lib/slot-memo.ts";
import { isVisibleFrom } from "../../model/export-to.ts";
import { type Service, serviceKey } from "../../model/service.ts";
import { keepIfSameElements } from "../../snapshot/is-deep-equal.ts";
import type { ResolvedVirtualService, ServiceIndex } from "../../snapshot/snapshot.ts";
import type { EgressListener } from "../scope.ts";
import { type EgressHosts, importsAlias, importsRule, importsService, parseEgressHosts } from "./egress-hosts.ts";
import { narrowService, narrowToAudience } from "./narrow-service.ts";
import { chooseByHostname } from "./visible.ts";

export interface SidecarScope {
  readonly egressListeners: readonly EgressListener[];
  readonly services: readonly Service[];
}

export interface SidecarScopeInput {
  readonly index: ServiceIndex;
  /** Services of all namespaces that are visible from the namespace, oldest first; hostnames may repeat. */
  readonly visible: readonly Service[];
  /** Virtual services on gateway "mesh" that are visible from the namespace, oldest first. */
  readonly virtualServices: readonly ResolvedVirtualService[];
}

interface KnownScope {
  readonly input: SidecarScopeInput;
  readonly scope: SidecarScope;
}

const knownScopes = new WeakMap<Sidecar, Map<string, KnownScope>>();

/** Imports of a Sidecar for workloads of a namespace; parts that come out the same are the objects of before. */
export function deriveSidecarScope(sidecar: Sidecar, namespace: string, input: SidecarScopeInput): SidecarScope {
  const ofSidecar = knownScopes.get(sidecar) ?? new Map<string, KnownScope>();
  knownScopes.set(sidecar, ofSidecar);
  const known = ofSidecar.get(namespace);
  if (
    known !== undefined &&
    known.input.visible === input.visible &&
    known.input.virtualServices === input.virtualServices
  ) {
    return known.scope;
  }
  const scope = buildScope({ sidecar, namespace, input }, known?.scope);
  ofSidecar.set(namespace, { input, scope });
  return scope;
}

interface ScopeSource {
  readonly sidecar: Sidecar;
  readonly namespace: string;
  readonly input: SidecarScopeInput;
}

const importEverything: EgressSpec = { hosts: ["*/*"] };

function buildScope(source: ScopeSource, before: SidecarScope | undefined): SidecarScope {
  const stated = source.sidecar.spec.egress ?? [];
  const specs = stated.length === 0 ? [importEverything] : stated;
  const listeners = specs.map((spec, index) => buildListener(source, spec, before?.egressListeners[index]));
  const services = collectServices(source, specs, listeners);
  return {
    egressListeners: keepIfSameElements(before?.egressListeners, listeners),
    services: keepIfSameElements(before?.services, services),
  };
}

function buildListener(source: ScopeSource, spec: EgressSpec, before: EgressListener | undefined): EgressListener {
  const { namespace, input } = source;
  const hosts = parseEgressHosts(spec.hosts, namespace);
  const imported = input.visible.filter((service) => importsService(hosts, service.namespace, service.hostname));
  const chosen = chooseByHostname(imported, namespace);
  const services = imported.flatMap((service) => {
    if (chosen.get(service.hostname) !== service) return [];
    return narrowService(service, listenerFilter(spec, hosts, service)) ?? [];
  });
  const virtualServices = input.virtualServices.filter((rule) =>
    importsRule(hosts, rule.object.meta.namespace, rule.hosts),
  );
  const listener: EgressListener = {
    port: convertPort(spec),
    bind: spec.bind === undefined || spec.bind === "" ? undefined : spec.bind,
    captureMode: spec.captureMode ?? "DEFAULT",
    services: keepIfSameElements(before?.services, services),
    virtualServices: keepIfSameElements(before?.virtualServices, virtualServices),
    sources: [refOf(source.sidecar)],
  };
  const isSame = before?.services === listener.services && before.virtualServices === listener.virtualServices;
  return isSame ? before : listener;
}

// A port of an egress listener is one of the services' ports, except that of a generic HTTP proxy.
function listenerFilter(spec: EgressSpec, hosts: EgressHosts, service: Service): Parameters<typeof narrowService>[1] {
  const port = listenerPort(spec);
  return {
    port: (number) => port === undefined || number === port,
    alias: (hostname) => importsAlias(hosts, service, { hostname }),
  };
}

function listenerPort(spec: EgressSpec): number | undefined {
  const number = spec.port?.number ?? 0;
  return number === 0 || parseProtocol(spec.port?.protocol ?? "") === "HTTP_PROXY" ? undefined : number;
}

function convertPort({ port }: EgressSpec): EgressListener["port"] {
  if (port === undefined) return undefined;
  return { number: port.number ?? 0, name: port.name ?? "", protocol: parseProtocol(port.protocol ?? "") };
}

interface Collected {
  readonly service: Service;
  readonly ports: Set<number>;
  readonly aliases: ReadonlySet<string>;
}

/** The services of all listeners and the destinations of their rules; ports that several listeners import add up. */
function collectServices(
  { namespace, input }: ScopeSource,
  specs: readonly EgressSpec[],
  listeners: readonly EgressListener[],
): readonly Service[] {
  const collected = new Map<string, Collected>();
  const add = (service: Service): void => {
    const original = input.index.find(service.hostname, service.namespace) ?? service;
    const known = collected.get(service.hostname);
    // The first listener that names a host decides of which namespace it is; only a service of Kubernetes takes the place
    // of an entry, so that nobody can sit on its name.
    const isReplaced = known?.service.registry === "External" && service.registry === "Kubernetes";
    if (known !== undefined && !isReplaced && known.service.namespace !== service.namespace) return;
    const fresh = { service: original, ports: new Set<number>(), aliases: new Set(service.aliases.map(serviceKey)) };
    const entry = known === undefined || isReplaced ? fresh : known;
    for (const port of service.ports) entry.ports.add(port.number);
    collected.set(service.hostname, entry);
  };
  for (const [index, listener] of listeners.entries()) {
    for (const service of listener.services) add(service);
    const port = listenerPort(specs[index] ?? importEverything);
    for (const [host, ports] of listener.virtualServices.flatMap((rule) => listDestinations(rule, namespace))) {
      const service = findDestination(input.index, host, namespace);
      const isWanted = (number: number): boolean => (port === undefined ? ports(number) : number === port);
      const kept = service && narrowService(service, { port: isWanted, alias: () => true });
      if (kept !== undefined) add(kept);
    }
  }
  const services = [...collected.values()].flatMap(
    ({ service, ports, aliases }) =>
      narrowService(service, {
        port: (number) => ports.has(number),
        alias: (hostname, ns) => aliases.has(serviceKey({ hostname, namespace: ns })),
      }) ?? [],
  );
  const order = rankServices(input.index.all);
  return services.sort((a, b) => (order.get(serviceKey(a)) ?? 0) - (order.get(serviceKey(b)) ?? 0));
}

const rankServices = memoByIdentity(
  (all: readonly Service[]): ReadonlyMap<string, number> =>
    new Map(all.map((service, index) => [serviceKey(service), index])),
);

/** The service behind a destination: of the own namespace whatever its exportTo, else the best one that is visible. */
function findDestination(index: ServiceIndex, host: string, namespace: string): Service | undefined {
  const own = index.find(host, namespace);
  if (own !== undefined) return own;
  const visible = index
    .byHostname(host)
    .filter((service) => isVisibleFrom(service.exportTo, service.namespace, namespace))
    .flatMap((service) => narrowToAudience(service, namespace) ?? []);
  return chooseByHostname(visible, namespace).get(host);
}

/**
 * Hosts that a virtual service leads clients of a namespace to, each with the ports that it names there: all where one
 * destination names none. Routes for clients of other namespaces lead nowhere.
 */
const listDestinations: (
  rule: ResolvedVirtualService,
  namespace: string,
) => readonly (readonly [host: string, isNamed: (port: number) => boolean])[] = memoByKey(
  ({ spec }: ResolvedVirtualService, namespace) => {
    const http = (spec.http ?? []).filter(({ match = [] }) => {
      const sources = match.flatMap(({ sourceNamespace }) => sourceNamespace || []);
      return sources.length === 0 || sources.includes(namespace);
    });
    const targets = [
      ...http.flatMap(({ route = [], mirror, mirrors = [] }) => [
        ...route.map(({ destination }) => destination),
        ...(mirror === undefined ? [] : [mirror]),
        ...mirrors.map(({ destination }) => destination),
      ]),
      ...[...(spec.tcp ?? []), ...(spec.tls ?? [])].flatMap(({ route = [] }) =>
        route.map(({ destination }) => destination),
      ),
    ];
    const portsOf = Map.groupBy(targets, ({ host }) => host);
    return [...portsOf].map(([host, ofHost]) => {
      const numbers = new Set(ofHost.map(({ port }) => port?.number ?? 0));
      return [host, (port: number) => numbers.has(0) || numbers.has(port)] as const;
    });
  },
);

interface HiddenInput {
  readonly index: ServiceIndex;
  readonly namespace: string;
  readonly virtualServices: readonly ResolvedVirtualService[];
}

/**
 * The scope without a Sidecar, and what its rules lead to beyond: services of the own namespace that are exported to
 * others only, or to nobody. There are clusters for them, but no listeners and no routes of their own.
 */
export function addHiddenDestinations(scope: SidecarScope, input: HiddenInput): SidecarScope {
  const { index, namespace, virtualServices } = input;
  if (!hidesServices(index.all, namespace)) return scope;
  return withHidden({ owner: scope, slot: "" }, [index], () => {
    const known = new Set(scope.services.map(({ hostname }) => hostname));
    const hidden = virtualServices
      .flatMap((rule) => listDestinations(rule, namespace))
      .flatMap(([host, isNamed]) => {
        const service = known.has(host) ? undefined : index.find(host, namespace);
        return (service && narrowService(service, { port: isNamed, alias: () => true })) ?? [];
      });
    if (hidden.length === 0) return scope;
    const unique = new Map(hidden.map((service) => [service.hostname, service]));
    return { egressListeners: scope.egressListeners, services: [...scope.services, ...unique.values()] };
  });
}

const withHidden = createSlotMemo<SidecarScope>();

const hidesServices: (all: readonly Service[], namespace: string) => boolean = memoByKey(
  (all: readonly Service[], namespace) =>
    all.some(
      (service) => service.namespace === namespace && !isVisibleFrom(service.exportTo, service.namespace, namespace),
    ),
);
