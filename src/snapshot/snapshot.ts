import type { DestinationRule } from "../api/destination-rule/schema.ts";
import type { EnvoyFilter } from "../api/envoy-filter/schema.ts";
import type { Gateway } from "../api/gateway/schema.ts";
import type { Kind, ObjectOf } from "../api/kinds.ts";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import type { Labels } from "../api/object.ts";
import type { PeerAuthentication } from "../api/peer-authentication/schema.ts";
import type { Sidecar } from "../api/sidecar/schema.ts";
import type { VirtualService } from "../api/virtual-service/schema.ts";
import type { Message, ObjectRef } from "../lib/message.ts";
import type { Endpoint } from "../model/endpoint.ts";
import type { Features } from "../model/features.ts";
import type { NetworkGateway } from "../model/network-gateway.ts";
import type { Service } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import type { CredentialVault } from "./credential-table.ts";

/** Services by host. One host may stand in several namespaces. */
export interface ServiceIndex {
  /** Sorted as istiod sorts them: by creation time, then name, then namespace (see registry). */
  readonly all: readonly Service[];
  /** Services of a host in all namespaces, oldest first; empty where there is none. */
  byHostname(hostname: string): readonly Service[];
  find(hostname: string, namespace: string): Service | undefined;
}

export interface EndpointIndex {
  /** Endpoints of all ports of a service. The array is the same one until an endpoint of this service changes. */
  list(hostname: string, namespace: string): readonly Endpoint[];
  /** Hosts with endpoints, for debugging: [hostname, namespace, endpoints]. */
  entries(): Iterable<readonly [string, string, readonly Endpoint[]]>;
  /** Keys (serviceKey) of services that have an endpoint with this address, sorted. */
  servicesAt(address: string): readonly string[];
}

export interface WorkloadIndex {
  byAddress(address: string): Workload | undefined;
  find(namespace: string, name: string): Workload | undefined;
  readonly all: readonly Workload[];
}

/**
 * A virtual service ready for use: hosts and destinations are full names, gateways are "mesh" or "namespace/name",
 * delegates are merged in. `sources` are the objects that it was made of (itself and its delegates).
 */
export interface ResolvedVirtualService {
  readonly object: VirtualService;
  readonly spec: VirtualService["spec"];
  readonly hosts: readonly string[];
  readonly gateways: readonly string[];
  readonly exportTo: ReadonlySet<string>;
  readonly sources: readonly ObjectRef[];
}

/**
 * One immutable view of the mesh. A change makes a new one that shares what did not change, so identity of a part tells
 * whether it changed. Everything a generator may read of the mesh is here: no clock, no environment, no network.
 */
export interface Snapshot {
  /** Grows by one with every change. Never part of a version. */
  readonly generation: number;
  readonly mesh: MeshConfig;
  /** Networks that the mesh's ConfigMap names; empty where it names none. */
  readonly meshNetworks: MeshNetworks;
  /** Gateways between networks, also those known by name only; sorted. None where there is one network. */
  readonly networkGateways: readonly NetworkGateway[];
  /** Network of the address of a workload that states none itself; "" for none. */
  readonly findNetwork: (address: string) => string;
  /** What the operator has switched on or off; the same as long as the process runs. */
  readonly features: Features;
  /** Domain of the cluster, such as "cluster.local". */
  readonly domain: string;
  readonly clusterId: string;
  readonly services: ServiceIndex;
  readonly endpoints: EndpointIndex;
  readonly workloads: WorkloadIndex;
  /** Resolved, oldest first (Istio's order); delegates themselves are not in it. */
  readonly virtualServices: readonly ResolvedVirtualService[];
  /** The same by gateway ("mesh" or "namespace/name"); a list is the same one until one of its members changes. */
  readonly virtualServicesByGateway: ReadonlyMap<string, readonly ResolvedVirtualService[]>;
  /** Oldest first; hosts are full names. */
  readonly destinationRules: readonly DestinationRule[];
  readonly gateways: readonly Gateway[];
  readonly sidecars: readonly Sidecar[];
  readonly peerAuthentications: readonly PeerAuthentication[];
  readonly envoyFilters: readonly EnvoyFilter[];
  readonly namespaceLabels: ReadonlyMap<string, Labels>;
  /** Label names that any selector of the mesh reads on a proxy; all others never reach a scope key. */
  readonly selectorLabels: ReadonlySet<string>;
  /** The selectors behind selectorLabels as "name=value" pairs: values that no selector asks for need not be told apart. */
  readonly selectorPairs: SelectorPairs;
  /** Everything that is to be said about the objects: from the sources, the registry and the indexes. */
  readonly messages: readonly Message[];
  /** What Secrets hold for TLS. It opens for grants alone, which no generator has. */
  readonly credentials: CredentialVault;
  /** All objects of a kind as they are served, for configz and for analysis. */
  objects<K extends PublicKind>(kind: K): readonly ObjectOf<K>[];
  findObject<K extends PublicKind>(kind: K, namespace: string, name: string): ObjectOf<K> | undefined;
  /** The same mesh as a proxy with another configuration of the mesh sees it. */
  withMesh(mesh: MeshConfig): Snapshot;
}

/** Kinds whose objects a snapshot shows; Secrets are not among them. */
export type PublicKind = Exclude<Kind, "Secret">;

export function isPublicKind(kind: string): boolean {
  return kind !== "Secret";
}

/** "name=value" pairs that selectors ask for, by what the selector decides. */
export interface SelectorPairs {
  /** Outbound traffic of sidecars: source labels of virtual services, workload selectors of destination rules. */
  readonly outbound: ReadonlySet<string>;
  /** Everything, Gateways and policies included. */
  readonly all: ReadonlySet<string>;
  /** Names of labels of which every value counts: failover priorities compare them with those of endpoints. */
  readonly compared: ReadonlySet<string>;
}

/** What differs between two snapshots; the push side decides from it what to make anew. */
export interface SnapshotChange {
  readonly before: Snapshot | undefined;
  readonly after: Snapshot;
  /** Kinds of configuration of which at least one object differs. */
  readonly kinds: ReadonlySet<Kind | "MeshConfig">;
  /** Objects that differ, for logs and for triggers in metrics. */
  readonly objects: readonly ObjectRef[];
  /** Services (keys as serviceKey) of which the definition differs, came or went. */
  readonly services: ReadonlySet<string>;
  /** Services (keys as serviceKey) of which endpoints differ. */
  readonly endpoints: ReadonlySet<string>;
}
