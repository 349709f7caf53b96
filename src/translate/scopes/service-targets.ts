import { type Labels, labelsMatch } from "../../api/object.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { compareText, sortEntries } from "../../lib/text-order.ts";
import { servesPort } from "../../model/endpoint.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import { type Service, type ServicePort, serviceKey } from "../../model/service.ts";
import { findWorkloadPort, type ServiceTarget, type Workload } from "../../model/workload.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

export interface TargetsInput {
  readonly proxy: MeshProxy;
  /** What the registry knows of the workload behind the proxy; undefined where it does not know it yet. */
  readonly workload: Workload | undefined;
  readonly labels: Labels;
}

/**
 * Ports on which a workload serves services of its namespace: those whose selector matches it, ready or not, and those
 * that have its address among their endpoints, of Kubernetes only where no selector matches. Sorted by target port, host,
 * port (Istio: GetProxyServiceTargets).
 */
export function deriveServiceTargets(snapshot: Snapshot, input: TargetsInput): readonly ServiceTarget[] {
  const targets = new Map<string, ServiceTarget>();
  const takesUdp = canTakeUdp(snapshot, input);
  const add = (service: Service, port: ServicePort, targetPort: number): void => {
    if (port.protocol === "UDP" && !takesUdp) return;
    const { hostname, namespace } = service;
    const target = { hostname, namespace, port: port.number, targetPort };
    targets.set(`${hostname}/${port.number}/${targetPort}`, target);
  };
  for (const service of listSelectingServices(snapshot, input)) {
    for (const port of service.ports) {
      const targetPort = findTargetPort(input, port);
      if (targetPort !== undefined) add(service, port, targetPort);
    }
  }
  const isSelected = targets.size > 0;
  for (const address of input.proxy.addresses) {
    const listed = listServicesAt(snapshot, address, input.proxy.namespace);
    for (const service of listed.filter(({ registry }) => !isSelected || registry !== "Kubernetes")) {
      for (const endpoint of snapshot.endpoints.list(service.hostname, service.namespace)) {
        if (endpoint.address !== address) continue;
        const port = service.ports.find((candidate) => servesPort(endpoint, candidate));
        if (port !== undefined) add(service, port, endpoint.port);
      }
    }
  }
  return [...targets.values()].sort(compareTargets);
}

// On gateways a port of UDP says that HTTP/3 is to be had there; on sidecars it is taken for TCP, as in Istio.
function canTakeUdp({ features }: Snapshot, { proxy }: TargetsInput): boolean {
  return proxy.type === "sidecar" || features.quicListeners;
}

// The aliases and hosts outside of the mesh have no workload of their own here.
function listSelectingServices(snapshot: Snapshot, { proxy, labels }: TargetsInput): readonly Service[] {
  const ofNamespace = indexSelectors(snapshot.services.all).get(proxy.namespace);
  if (ofNamespace === undefined) return [];
  return Object.entries(labels)
    .flatMap(([name, value]) => ofNamespace.get(`${name}=${value}`) ?? [])
    .filter((service) => labelsMatch(service.selector ?? {}, labels));
}

// Each service stands under the first pair of its selector only, so that a look-up reads few of them.
const indexSelectors = memoByIdentity(
  (all: readonly Service[]): ReadonlyMap<string, ReadonlyMap<string, readonly Service[]>> => {
    const index = new Map<string, Map<string, Service[]>>();
    for (const service of all) {
      if (service.registry !== "Kubernetes" || service.resolution === "alias") continue;
      const first = sortEntries(Object.entries(service.selector ?? {}))[0];
      if (first === undefined) continue;
      const ofNamespace = index.get(service.namespace) ?? new Map<string, Service[]>();
      index.set(service.namespace, ofNamespace);
      const pair = `${first[0]}=${first[1]}`;
      const services = ofNamespace.get(pair);
      if (services === undefined) ofNamespace.set(pair, [service]);
      else services.push(service);
    }
    return index;
  },
);

function listServicesAt(snapshot: Snapshot, address: string, namespace: string): readonly Service[] {
  const prefix = `${namespace}/`;
  return snapshot.endpoints.servicesAt(address).flatMap((key) => {
    if (!key.startsWith(prefix)) return [];
    const service = snapshot.services.find(key.slice(prefix.length), namespace);
    return service === undefined || serviceKey(service) !== key ? [] : [service];
  });
}

function findTargetPort({ workload, proxy }: TargetsInput, port: ServicePort): number | undefined {
  if (workload !== undefined) return findWorkloadPort(workload, port);
  // A proxy may come before its pod does: then only what it says of itself is known.
  if (typeof port.targetPort === "string") return findDeclaredPort(proxy.metadata["POD_PORTS"], port.targetPort);
  return port.targetPort || port.number;
}

/** Finds a named port in metadata POD_PORTS, a JSON text of [{name, containerPort, protocol}]. */
function findDeclaredPort(declared: unknown, name: string): number | undefined {
  let list = declared;
  if (typeof declared === "string") {
    try {
      list = JSON.parse(declared);
    } catch {
      return undefined;
    }
  }
  if (!Array.isArray(list)) return undefined;
  const port: unknown = list.find((item: unknown) => isNamedPort(item) && item.name === name);
  return isNamedPort(port) ? port.containerPort : undefined;
}

function isNamedPort(value: unknown): value is { readonly name: string; readonly containerPort: number } {
  if (typeof value !== "object" || value === null) return false;
  return "name" in value && "containerPort" in value && typeof value.containerPort === "number";
}

function compareTargets(a: ServiceTarget, b: ServiceTarget): number {
  return a.targetPort - b.targetPort || compareText(a.hostname, b.hostname) || a.port - b.port;
}
