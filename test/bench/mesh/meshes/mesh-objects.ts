/** Objects as an API server holds them, with the fields that the bench turns. */
import type { MeshObject } from "../servers/mesh-server.ts";

export const servicePort = 80;
const targetPort = 8080;

export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
}

export function hostOf({ name, namespace }: ServiceName): string {
  return `${name}.${namespace}.svc.cluster.local`;
}

export function clusterOf(service: ServiceName): string {
  return `outbound|${servicePort}||${hostOf(service)}`;
}

/** Different for each (service, endpoint), up to 64 endpoints of 262,000 services. */
export function endpointAddress(service: number, endpoint: number): string {
  const serial = service * 64 + endpoint + 1;
  return `10.${(serial >> 16) & 255}.${(serial >> 8) & 255}.${serial & 255}`;
}

/** An address that no endpoint has had before, for a change that can be told from all others. */
export function freshAddress(serial: number): string {
  return `11.${100 + ((serial >> 16) & 127)}.${(serial >> 8) & 255}.${serial & 255}`;
}

export function buildNamespace(name: string): MeshObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name } };
}

export function buildService(service: ServiceName, index: number): MeshObject {
  const spec = {
    clusterIP: `10.${240 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
    selector: { app: service.name },
    ports: [{ name: "http", port: servicePort, targetPort, protocol: "TCP" }],
  };
  const labels = { app: service.name };
  return { apiVersion: "v1", kind: "Service", metadata: { ...service, labels }, ...{ spec } } as MeshObject;
}

/** The slice of a service. */
export function buildSlice({ name, namespace }: ServiceName, addresses: readonly string[]): MeshObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
    ...{
      addressType: "IPv4",
      ports: [{ name: "http", port: targetPort, protocol: "TCP" }],
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    },
  } as MeshObject;
}

export interface VirtualServiceOptions {
  readonly host: string;
  /** Name of its first route: what a change of it turns. */
  readonly routeName: string;
  readonly destination: string;
  readonly gateways?: readonly string[];
}

/** One route with a name and a timeout: half a kilobyte of each route configuration. */
export function buildVirtualService(name: ServiceName, options: VirtualServiceOptions): MeshObject {
  const { host, routeName, destination, gateways } = options;
  const route = [{ destination: { host: destination, port: { number: servicePort } } }];
  const spec = {
    hosts: [host],
    ...(gateways === undefined ? {} : { gateways }),
    http: [{ name: routeName, timeout: "5s", route }],
  };
  return withSpec("networking.istio.io/v1", "VirtualService", name, spec);
}

/** A rule whose number of connections is what a change of it turns. */
export function buildDestinationRule(service: ServiceName, maxConnections: number): MeshObject {
  const spec = { host: hostOf(service), trafficPolicy: { connectionPool: { tcp: { maxConnections } } } };
  return withSpec("networking.istio.io/v1", "DestinationRule", service, spec);
}

/** The Sidecar resource of a whole namespace. */
export function buildSidecar(namespace: string, hosts: readonly string[]): MeshObject {
  return withSpec("networking.istio.io/v1", "Sidecar", { name: "default", namespace }, { egress: [{ hosts }] });
}

export function buildGateway(name: ServiceName, selector: Readonly<Record<string, string>>): MeshObject {
  const server = { port: { number: 8080, name: "http", protocol: "HTTP" }, hosts: ["*"] };
  return withSpec("networking.istio.io/v1", "Gateway", name, { selector, servers: [server] });
}

function withSpec(apiVersion: string, kind: string, metadata: ServiceName, spec: object): MeshObject {
  return { apiVersion, kind, metadata, ...{ spec } } as MeshObject;
}
