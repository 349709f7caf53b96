/** Which kinds Meltemi reads, in which versions, and which ones it knows of without reading them yet. */

import type { MeshObject } from "./kinds.ts";
import type { KubeKind } from "./kubernetes/convert.ts";

export type IstioKind = Exclude<MeshObject["kind"], KubeKind>;

export interface KindInfo {
  readonly versions: readonly string[];
  readonly isNamespaced: boolean;
}

const networking = ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];
const security = ["security.istio.io/v1", "security.istio.io/v1beta1"];
const namespaced = (versions: readonly string[]): KindInfo => ({ versions, isNamespaced: true });
const ofCluster = (versions: readonly string[]): KindInfo => ({ versions, isNamespaced: false });

export const kubeKinds: Readonly<Record<KubeKind, KindInfo>> = {
  Service: namespaced(["v1"]),
  Endpoints: namespaced(["v1"]),
  EndpointSlice: namespaced(["discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"]),
  Pod: namespaced(["v1"]),
  Node: ofCluster(["v1"]),
  Namespace: ofCluster(["v1"]),
  Secret: namespaced(["v1"]),
  ConfigMap: namespaced(["v1"]),
  ServiceAccount: namespaced(["v1"]),
};

export const istioKinds: Readonly<Record<IstioKind, KindInfo>> = {
  VirtualService: namespaced(networking),
  DestinationRule: namespaced(networking),
  Gateway: namespaced(networking),
  ServiceEntry: namespaced(networking),
  WorkloadEntry: namespaced(networking),
  Sidecar: namespaced(networking),
  PeerAuthentication: namespaced(security),
  AuthorizationPolicy: namespaced(security),
  RequestAuthentication: namespaced(security),
  Telemetry: namespaced(["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"]),
  ProxyConfig: namespaced(["networking.istio.io/v1beta1"]),
  WorkloadGroup: namespaced(networking),
  EnvoyFilter: namespaced(["networking.istio.io/v1alpha3"]),
  WasmPlugin: namespaced(["extensions.istio.io/v1alpha1"]),
  TrafficExtension: namespaced(["extensions.istio.io/v1alpha1"]),
};

/**
 * Kinds of Istio and of the Kubernetes Gateway API whose meaning is known but not translated. Those among them that are
 * Istio kinds are read, checked and kept all the same.
 */
export const untranslatedKinds: ReadonlySet<string> = new Set([
  "AuthorizationPolicy",
  "RequestAuthentication",
  "Telemetry",
  "WasmPlugin",
  "TrafficExtension",
  "ProxyConfig",
  "GatewayClass",
  "HTTPRoute",
  "GRPCRoute",
  "TCPRoute",
  "TLSRoute",
  "UDPRoute",
  "ReferenceGrant",
  "BackendTLSPolicy",
  "XBackendTrafficPolicy",
  "ListenerSet",
  "InferencePool",
  "ServiceExport",
  "ServiceImport",
  "Ingress",
  "IngressClass",
]);

/** API groups of Kubernetes whose other kinds (deployments, roles …) stand in the same files and mean nothing here. */
const bystanderGroups = /^(apps|batch|autoscaling|policy|extensions|[a-z0-9.-]+\.k8s\.io|.*\.x-k8s\.io)\//;
const bystanderKinds: ReadonlySet<string> = new Set([
  "PersistentVolume",
  "PersistentVolumeClaim",
  "ReplicationController",
  "LimitRange",
  "ResourceQuota",
  "Event",
  "PodTemplate",
  "ComponentStatus",
]);

export const isKubeKind = (kind: string): kind is KubeKind => Object.hasOwn(kubeKinds, kind);
export const isIstioKind = (kind: string): kind is IstioKind => Object.hasOwn(istioKinds, kind);

/** What is known of a kind that Meltemi reads; undefined for any other. */
export function findKindInfo(kind: string): KindInfo | undefined {
  if (isKubeKind(kind)) return kubeKinds[kind];
  return isIstioKind(kind) ? istioKinds[kind] : undefined;
}

/** True for objects of Kubernetes that the mesh has no use for. */
export function isBystander(apiVersion: string, kind: string): boolean {
  return bystanderGroups.test(apiVersion) || (apiVersion === "v1" && bystanderKinds.has(kind));
}
