/** Objects as the API parses them, for tests that change single fields: the bookinfo services, rules and gateways. */
import type { DestinationRule, DestinationRuleSpec } from "../../src/api/destination-rule/schema.ts";
import type { Gateway, Server } from "../../src/api/gateway/schema.ts";
import type { MeshObject } from "../../src/api/kinds.ts";
import type {
  EndpointSlice,
  KubeEndpoint,
  KubeNode,
  KubeService,
  KubeServicePort,
  Pod,
} from "../../src/api/kubernetes/types.ts";
import type { Labels, ObjectMeta } from "../../src/api/object.ts";
import type { PeerAuthentication } from "../../src/api/peer-authentication/schema.ts";
import type { ServiceEntry } from "../../src/api/service-entry/schema.ts";
import type { HttpRoute, VirtualService, VirtualServiceSpec } from "../../src/api/virtual-service/schema.ts";

const networking = "networking.istio.io/v1";

export const reviewsHost = "reviews.bookinfo.svc.cluster.local";
export const reviewsCluster = `outbound|9080||${reviewsHost}`;

export function kubeService(name: string, spec: Partial<KubeService["spec"]>, namespace = "bookinfo"): KubeService {
  return {
    kind: "Service",
    apiVersion: "v1",
    meta: metaOf(name, { namespace }),
    spec: {
      type: "ClusterIP",
      clusterIPs: spec.clusterIP === undefined || spec.clusterIP === "None" ? [] : [spec.clusterIP],
      externalIPs: [],
      loadBalancerAddresses: [],
      selector: { app: name },
      ports: [],
      publishNotReadyAddresses: false,
      ...spec,
    },
  };
}

export function kubePort(name: string, port: number): KubeServicePort {
  return { name, port, protocol: "TCP", targetPort: port };
}

export const reviews = kubeService("reviews", { clusterIP: "10.96.1.13", ports: [kubePort("http", 9080)] });
export const ratings = kubeService("ratings", { clusterIP: "10.96.1.12", ports: [kubePort("http", 9080)] });

export function virtualService(name: string, spec: VirtualServiceSpec, meta: Partial<ObjectMeta> = {}): VirtualService {
  return {
    kind: "VirtualService",
    apiVersion: networking,
    meta: metaOf(name, meta),
    spec,
  };
}

export function destinationRule(name: string, spec: DestinationRule["spec"]): DestinationRule {
  return {
    kind: "DestinationRule",
    apiVersion: networking,
    meta: metaOf(name),
    spec,
  };
}

export function serviceEntry(name: string, spec: ServiceEntry["spec"]): ServiceEntry {
  return {
    kind: "ServiceEntry",
    apiVersion: networking,
    meta: metaOf(name),
    spec,
  };
}

export function peerAuthentication(
  namespace: string,
  name: string,
  spec: PeerAuthentication["spec"],
): PeerAuthentication {
  return {
    kind: "PeerAuthentication",
    apiVersion: "security.istio.io/v1",
    meta: metaOf(name, { namespace }),
    spec,
  };
}

/** A Gateway in istio-system, unless `meta` says otherwise. */
export function gateway(name: string, servers: readonly Server[], meta: Partial<ObjectMeta> = {}): Gateway {
  return {
    kind: "Gateway",
    apiVersion: networking,
    meta: metaOf(name, { namespace: "istio-system", ...meta }),
    spec: { selector: { istio: "ingressgateway" }, servers },
  };
}

/** A server; `text` is "PROTOCOL number name", such as "HTTPS 443 https". */
export function server(text: string, hosts: readonly string[], more: Omit<Partial<Server>, "port"> = {}): Server {
  const [protocol = "", number = "", name = ""] = text.split(" ");
  return { port: { protocol, number: Number(number), name }, hosts, ...more };
}

/** A virtual service of namespace bookinfo on Gateway istio-system/gw. */
export function rules(name: string, hosts: readonly string[], spec: VirtualServiceSpec = {}): VirtualService {
  return virtualService(name, { gateways: ["istio-system/gw"], hosts, ...spec });
}

/** One HTTP rule for a prefix, or for everything, to the service `reviews` or another. */
export function httpTo(prefix: string | undefined, host = reviewsHost): HttpRoute {
  const route = [{ destination: { host } }];
  return prefix === undefined ? { route } : { match: [{ uri: { prefix } }], route };
}

export interface PodOptions {
  readonly labels?: Labels;
  readonly account?: string;
  readonly node?: string;
  /** False where no proxy stands in front of it. */
  readonly hasProxy?: boolean;
}

export function pod(name: string, address: string, options: PodOptions = {}): Pod {
  const { labels = {}, account = "default", node, hasProxy = true } = options;
  const tlsMode: Labels = hasProxy ? { "security.istio.io/tlsMode": "istio" } : {};
  return {
    kind: "Pod",
    apiVersion: "v1",
    meta: metaOf(name, { labels: { ...labels, ...tlsMode } }),
    spec: {
      addresses: [address],
      ...(node === undefined ? {} : { nodeName: node }),
      serviceAccountName: account,
      hostNetwork: false,
      phase: "Running",
      ready: true,
      terminating: false,
      ports: [],
    },
  };
}

export function node(name: string, region: string, zone: string): KubeNode {
  const labels = { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone };
  return {
    kind: "Node",
    apiVersion: "v1",
    meta: metaOf(name, { namespace: "", labels }),
    spec: { addresses: [] },
  };
}

/** The endpoints of a service: pods that are ready, unless `overrides` says otherwise for a pod by its name. */
export function slice(
  service: string,
  port: KubeServicePort,
  pods: readonly Pod[],
  overrides: { readonly [pod: string]: Partial<KubeEndpoint> } = {},
): EndpointSlice {
  return {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    meta: metaOf(`${service}-1`),
    spec: {
      serviceName: service,
      addressType: "IPv4",
      ports: [{ name: port.name, port: port.port, protocol: "TCP" }],
      endpoints: pods.map(({ meta, spec }) => ({
        addresses: spec.addresses,
        ready: true,
        serving: true,
        terminating: false,
        targetRef: { kind: "Pod", namespace: meta.namespace, name: meta.name },
        ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
        ...overrides[meta.name],
      })),
    },
  };
}

export const http9080: KubeServicePort = kubePort("http", 9080);

export const reviewsPods: readonly Pod[] = ["v1", "v2", "v3"].map((version, index) =>
  pod(`reviews-${version}`, `10.20.0.1${index}`, {
    labels: { app: "reviews", version },
    account: "reviews",
    node: index === 1 ? "near" : "far",
  }),
);

/** Service reviews with three pods: v1 and v3 in zone z2, v2 in zone z1 of region r1. */
export const reviewsObjects: readonly MeshObject[] = [
  node("near", "r1", "z1"),
  node("far", "r1", "z2"),
  kubeService("reviews", { clusterIP: "10.96.1.13", ports: [http9080] }),
  ...reviewsPods,
  slice("reviews", http9080, reviewsPods),
];

export function reviewsRule(spec: Omit<DestinationRuleSpec, "host">): MeshObject {
  return destinationRule("reviews", { host: reviewsHost, ...spec });
}

/** Metadata of an object in namespace "bookinfo", unless `meta` says otherwise. */
function metaOf(name: string, meta: Partial<ObjectMeta> = {}): ObjectMeta {
  return { name, namespace: "bookinfo", labels: {}, annotations: {}, ...meta };
}
