/** The slim records kept of Kubernetes objects: only what the mesh reads. */
import type { ApiObject, Labels } from "../object.ts";

export interface KubeServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  /** A number, or the name of a container port; the port itself where the object has none. */
  readonly targetPort: number | string;
  readonly nodePort?: number;
  readonly appProtocol?: string;
}

export interface KubeServiceSpec {
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  /** "None" for headless; absent where nothing was allocated (files), or for ExternalName. */
  readonly clusterIP?: string;
  /** All cluster addresses, the first one first; empty for headless and ExternalName. */
  readonly clusterIPs: readonly string[];
  readonly externalName?: string;
  readonly externalIPs: readonly string[];
  /** Addresses of status.loadBalancer.ingress. */
  readonly loadBalancerAddresses: readonly string[];
  readonly selector: Labels | undefined;
  readonly ports: readonly KubeServicePort[];
  readonly publishNotReadyAddresses: boolean;
  readonly internalTrafficPolicy?: "Cluster" | "Local";
  readonly trafficDistribution?: string;
}
export type KubeService = ApiObject<"Service", KubeServiceSpec>;

export interface KubeEndpoint {
  readonly addresses: readonly string[];
  /** Absent `ready` and `serving` count as true, an absent `terminating` as the opposite of `ready` (as in Istio). */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly targetRef?: { readonly kind: string; readonly namespace: string; readonly name: string };
}

/** Also the form that a legacy `Endpoints` object is converted to (one slice for each of its subsets). */
export interface EndpointSliceSpec {
  /** Name of the service, from the label kubernetes.io/service-name. */
  readonly serviceName: string;
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: string;
    readonly appProtocol?: string;
  }[];
  readonly endpoints: readonly KubeEndpoint[];
}
export type EndpointSlice = ApiObject<"EndpointSlice", EndpointSliceSpec>;
/** A legacy Endpoints object; ignored for a service that also has an EndpointSlice. */
export type LegacyEndpoints = ApiObject<"Endpoints", { readonly slices: readonly EndpointSliceSpec[] }>;

export interface PodSpec {
  /** All addresses of the pod, the first one first; empty until it has one. */
  readonly addresses: readonly string[];
  readonly nodeName?: string;
  readonly serviceAccountName: string;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly hostNetwork: boolean;
  readonly phase: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  /** Owner that controls the pod, e.g. {kind: "ReplicaSet", name: "reviews-v1-86896b7648"}. */
  readonly owner?: { readonly kind: string; readonly name: string };
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly protocol: string }[];
}
export type Pod = ApiObject<"Pod", PodSpec>;

/** Only the labels of a node matter (region, zone), its addresses for node ports, and what its kubelet can do. */
export type KubeNode = ApiObject<
  "Node",
  {
    readonly addresses: readonly { readonly type: string; readonly address: string }[];
    /** Such as "v1.35.1+k3s1". */
    readonly kubeletVersion?: string;
  }
>;
export type Namespace = ApiObject<"Namespace", { readonly phase?: string }>;
/** Secret data is decoded from base64. Never print it. */
export type Secret = ApiObject<
  "Secret",
  { readonly type: string; readonly data: { readonly [key: string]: Uint8Array } }
>;
export type ConfigMap = ApiObject<"ConfigMap", { readonly data: { readonly [key: string]: string } }>;
export type ServiceAccount = ApiObject<"ServiceAccount", Record<string, never>>;
