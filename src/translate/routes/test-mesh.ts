/** A small mesh for the tests of routes: objects as users write them, seen by a sidecar of namespace "bookinfo". */

import type { DestinationRule } from "../../api/destination-rule/schema.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { KubeService, KubeServicePort } from "../../api/kubernetes/types.ts";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { type Labels, refOf } from "../../api/object.ts";
import type { VirtualService, VirtualServiceSpec } from "../../api/virtual-service/schema.ts";
import type { Service } from "../../model/service.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "../../snapshot/build.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { EgressListener, ScopeKey, ScopeView } from "../scope.ts";

export const testKey: ScopeKey = {
  id: "test",
  proxyType: "sidecar",
  namespace: "bookinfo",
  dnsDomain: "bookinfo.svc.cluster.local",
  clusterId: "Kubernetes",
  network: "",
  sidecar: undefined,
  labels: {},
  capabilities: { istioVersion: { major: 1, minor: 31, patch: 0 }, extensions: undefined, acceptHttp10: false },
  locality: undefined,
  interceptionMode: "REDIRECT",
  httpProxyPort: undefined,
  privileged: false,
  ipFamilies: { v4: true, v6: false },
  dnsCapture: false,
  dnsAutoAllocate: false,
  idleTimeoutMs: undefined,
  exactBalance: { inbound: false, outbound: false },
  nodeName: undefined,
  targets: [],
};

export interface TestViewOptions {
  readonly key?: Partial<ScopeKey>;
  readonly policy?: ScopeView["outboundTrafficPolicy"];
  /** Egress listeners instead of the one that catches all; services and virtual services are those of the mesh. */
  readonly egress?: readonly Pick<EgressListener, "port" | "bind">[];
}

/** A mesh that can be changed step by step, as sources change it. */
export function createTestMesh(mesh: Partial<MeshConfig> = {}): SnapshotBuilder {
  return createSnapshotBuilder({
    domain: "cluster.local",
    clusterId: "Kubernetes",
    mesh: { ...defaultMeshConfig, ...mesh },
  });
}

export function setObjects(builder: SnapshotBuilder, ...objects: readonly MeshObject[]): Snapshot {
  return builder.apply({ changes: objects.map((object) => ({ type: "set", object })), problems: [] }).after;
}

/** A view of everything in the snapshot; rules of the service's or the proxy's namespace apply by exact host. */
export function viewOf(snapshot: Snapshot, options: TestViewOptions = {}): ScopeView {
  const { services } = snapshot;
  const virtualServices = snapshot.virtualServices.filter(({ gateways }) => gateways.includes("mesh"));
  const shared = { captureMode: "DEFAULT", services: services.all, virtualServices, sources: [] } as const;
  const egress = options.egress ?? [{ port: undefined, bind: undefined }];
  return {
    snapshot,
    key: { ...testKey, ...options.key },
    sidecar: undefined,
    outboundTrafficPolicy: options.policy ?? "ALLOW_ANY",
    egressListeners: egress.map((listener) => ({ ...shared, ...listener })),
    services: services.all,
    findService: (hostname) => services.byHostname(hostname)[0],
    findDestinationRule: (service) => findRule(snapshot, service),
    gateways: [],
    listGatewayVirtualServices: (gateway) =>
      snapshot.virtualServices.filter(({ gateways }) => gateways.includes(gateway)),
  };
}

/** Reads a virtual service and the view it is in: the mesh with the usual services, this one and the rules. */
export function viewOfRules(
  spec: VirtualServiceSpec,
  options: TestViewOptions & { readonly rules?: readonly DestinationRule[] } = {},
): ScopeView {
  const objects = [reviews, ratings, virtualService("reviews", spec), ...(options.rules ?? [])];
  return viewOf(setObjects(createTestMesh(), ...objects), options);
}

export function kubeService(name: string, spec: Partial<KubeService["spec"]>, namespace = "bookinfo"): KubeService {
  return {
    kind: "Service",
    apiVersion: "v1",
    meta: { name, namespace, labels: {}, annotations: {} },
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

export function virtualService(
  name: string,
  spec: VirtualServiceSpec,
  meta: { readonly namespace?: string; readonly annotations?: Labels; readonly creationTimestamp?: string } = {},
): VirtualService {
  return {
    kind: "VirtualService",
    apiVersion: "networking.istio.io/v1",
    meta: { name, namespace: "bookinfo", labels: {}, annotations: {}, ...meta },
    spec,
  };
}

export function destinationRule(name: string, spec: DestinationRule["spec"]): DestinationRule {
  return {
    kind: "DestinationRule",
    apiVersion: "networking.istio.io/v1",
    meta: { name, namespace: "bookinfo", labels: {}, annotations: {} },
    spec,
  };
}

function findRule(snapshot: Snapshot, service: Service): ReturnType<ScopeView["findDestinationRule"]> {
  const rule = snapshot.destinationRules.find(({ spec }) => spec.host === service.hostname);
  return rule === undefined ? undefined : { namespace: rule.meta.namespace, spec: rule.spec, sources: [refOf(rule)] };
}
