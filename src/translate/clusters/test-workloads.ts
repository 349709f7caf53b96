/** Services with pods behind them, for the tests of clusters and endpoints. */
import type { DestinationRuleSpec } from "../../api/destination-rule/schema.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { EndpointSlice, KubeEndpoint, KubeNode, KubeServicePort, Pod } from "../../api/kubernetes/types.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Labels } from "../../api/object.ts";
import type { PeerAuthentication } from "../../api/peer-authentication/schema.ts";
import type { ServiceEntry } from "../../api/service-entry/schema.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { createTestMesh, destinationRule, kubePort, kubeService, setObjects, testKey } from "../routes/test-mesh.ts";
import type { ScopeKey, ScopeView } from "../scope.ts";
import { createScopeView } from "../scopes/create-scope-view.ts";

const networking = "networking.istio.io/v1";

export const reviewsHost = "reviews.bookinfo.svc.cluster.local";
export const reviewsCluster = `outbound|9080||${reviewsHost}`;

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
    meta: { name, namespace: "bookinfo", labels: { ...labels, ...tlsMode }, annotations: {} },
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
    meta: { name, namespace: "", labels, annotations: {} },
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
    meta: { name: `${service}-1`, namespace: "bookinfo", labels: {}, annotations: {} },
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

export function serviceEntry(name: string, spec: ServiceEntry["spec"]): ServiceEntry {
  return {
    kind: "ServiceEntry",
    apiVersion: networking,
    meta: { name, namespace: "bookinfo", labels: {}, annotations: {} },
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
    meta: { name, namespace, labels: {}, annotations: {} },
    spec,
  };
}

export function snapshotOf(objects: readonly MeshObject[], mesh: Partial<MeshConfig> = {}): Snapshot {
  return setObjects(createTestMesh(mesh), ...objects);
}

/** The mesh as a sidecar of namespace "bookinfo" sees it; `key` changes who is looking. */
export function scopeOf(snapshot: Snapshot, key: Partial<ScopeKey> = {}): ScopeView {
  const whole = { ...testKey, ...key };
  return createScopeView(snapshot, {
    ...whole,
    id: JSON.stringify([whole, [...(whole.capabilities.extensions ?? [])]]),
  });
}
