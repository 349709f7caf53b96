/**
 * What generators see. A generator has two inputs, the snapshot and its key, and a key is plain data: what is not in the
 * key cannot change the output, so proxies with equal keys share every byte. Keys never carry a whole proxy.
 */
import type { Gateway } from "../api/gateway/schema.ts";
import type { Labels } from "../api/object.ts";
import type { Sidecar } from "../api/sidecar/schema.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Protocol } from "../lib/protocol.ts";
import type { Locality } from "../model/endpoint.ts";
import type { IstioVersion, ProxyType } from "../model/proxy.ts";
import type { Service } from "../model/service.ts";
import type { ServiceTarget } from "../model/workload.ts";
import type { ResolvedVirtualService, Snapshot } from "../snapshot/snapshot.ts";
import type { MergedDestinationRule } from "./destination-rules.ts";
import type { TranslatedProxyConfig } from "./scopes/own-proxy-config.ts";

/** What a proxy can take. Proxies that list their extensions get no others (docs/differences.md). */
export interface Capabilities {
  readonly istioVersion: IstioVersion | undefined;
  /** Sorted names from node.extensions; undefined: the proxy lists none. */
  readonly extensions: ReadonlySet<string> | undefined;
  readonly acceptHttp10: boolean;
}

/** Patches of one EnvoyFilter that are for a key, by their places in it. */
export interface PatchSelection {
  readonly namespace: string;
  readonly name: string;
  readonly patches: readonly number[];
}

/** Key of everything outbound: listeners, routes, clusters, endpoints. */
export interface ScopeKey {
  /** Canonical text of all the other fields: equal text, equal scope. */
  readonly id: string;
  readonly proxyType: ProxyType;
  readonly namespace: string;
  readonly dnsDomain: string;
  readonly clusterId: string;
  readonly network: string;
  /** Networks of which endpoints are wanted; absent: all. */
  readonly networkView?: readonly string[];
  /** Only where the proxy asks for endpoints of its own kind (the cluster `local_cluster` of its bootstrap). */
  readonly selfDiscovery?: SelfDiscovery;
  /** Settings of the proxy itself in the place of the mesh's; undefined where it has none that differ. */
  readonly proxyConfig?: TranslatedProxyConfig;
  /** Files beside the proxy that it proves itself with instead of an identity of the mesh. */
  readonly clientCertificate?: ClientCertificate;
  /** True where an SDS server stands beside the proxy. */
  readonly hasSecretSocket?: boolean;
  /** The Sidecar object that applies; undefined for the default scope. Always undefined for routers. */
  readonly sidecar: ObjectRef | undefined;
  /** Only labels that some selector of the mesh reads (Snapshot.selectorLabels), and for routers what gateways select. */
  readonly labels: Labels;
  readonly capabilities: Capabilities;
  /** Only where some rule weighs localities (otherwise undefined, so that all localities share). */
  readonly locality: Locality | undefined;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly httpProxyPort: number | undefined;
  readonly privileged: boolean;
  readonly ipFamilies: { readonly v4: boolean; readonly v6: boolean };
  readonly dnsCapture: boolean;
  readonly dnsAutoAllocate: boolean;
  /** Where the agent answers DNS, only where that differs from the usual address and a policy asks it. */
  readonly dnsProxyAddress?: string;
  readonly idleTimeoutMs: number | undefined;
  readonly exactBalance: { readonly inbound: boolean; readonly outbound: boolean };
  /** Only where a service of the scope keeps traffic on its node. */
  readonly nodeName: string | undefined;
  /** Routers only: ports on which services select this gateway (the port map of the gateway's service). */
  readonly targets: readonly ServiceTarget[];
  /** Patches of shared clusters, routes and extensions, in their order; absent where there are none. */
  readonly patches?: readonly PatchSelection[];
}

/** Paths of files beside a proxy. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  /** Roots that servers are checked by; "" for those of the operating system. */
  readonly roots: string;
}

/** The proxy's own service, and what its fellow endpoints have in common with it. */
export interface SelfDiscovery {
  readonly hostname: string;
  /** Number of the service's port. */
  readonly port: number;
  readonly workloadName: string;
  /** Labels that tell generations of a deployment apart; "" where there is none. */
  readonly generations: Labels;
}

/** Key of outbound listeners: the scope and what tracing and headless listeners need of the workload. */
export interface ListenerKey {
  readonly id: string;
  readonly scope: ScopeKey;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly meshId: string;
  /** Own addresses that are endpoints of a headless service of the scope: no listener is made for these. */
  readonly ownHeadlessAddresses: readonly string[];
  /** Patches of these listeners, in their order; absent where there are none. */
  readonly patches?: readonly PatchSelection[];
}

/** Key of what is a workload's own: inbound listeners and inbound clusters. */
export interface WorkloadKey {
  readonly id: string;
  readonly listener: ListenerKey;
  /** Labels that select policies for the workload (PeerAuthentication and others), and security.istio.io/tlsMode. */
  readonly labels: Labels;
  readonly targets: readonly ServiceTarget[];
  /** First address of each IP family; [] where no listener is bound to it (see interceptionMode NONE). */
  readonly addresses: readonly string[];
  /** Patches of the workload's own listeners, routes and clusters, in their order; absent where there are none. */
  readonly patches?: readonly PatchSelection[];
}

/** One outbound listener declaration: from Sidecar.egress, or the one that catches everything. */
export interface EgressListener {
  /** Declared port; undefined for the catch-all. */
  readonly port: { readonly number: number; readonly name: string; readonly protocol: Protocol } | undefined;
  readonly bind: string | undefined;
  readonly captureMode: "DEFAULT" | "IPTABLES" | "NONE";
  /** Services imported here, sorted as Snapshot.services.all, one for each hostname. */
  readonly services: readonly Service[];
  /** Virtual services on gateway "mesh" that are visible here, oldest first. */
  readonly virtualServices: readonly ResolvedVirtualService[];
  readonly sources: readonly ObjectRef[];
}

/**
 * The mesh as one scope sees it (Istio: SidecarScope; for routers: all services visible from the namespace). Made once
 * for each (snapshot, key) and shared; the look-ups are lazy and cached.
 */
export interface ScopeView {
  readonly snapshot: Snapshot;
  readonly key: ScopeKey;
  readonly sidecar: Sidecar | undefined;
  /** ALLOW_ANY_DYNAMIC_DNS for sidecars only, and only those that can forward to any name. */
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY" | "ALLOW_ANY_DYNAMIC_DNS";
  /** In the order of Sidecar.egress; a single catch-all without a Sidecar. Empty for routers. */
  readonly egressListeners: readonly EgressListener[];
  /** All services of the scope, one for each hostname, sorted as Snapshot.services.all. */
  readonly services: readonly Service[];
  findService(hostname: string): Service | undefined;
  /**
   * The rule for a service of this scope after look-up and merging; undefined where none applies. Rules for single
   * workloads count for outbound traffic only (the default); "inbound" asks for those of what the workload serves.
   */
  findDestinationRule(service: Service, direction?: "outbound" | "inbound"): MergedDestinationRule | undefined;
  /** Routers: Gateways that select this proxy, oldest first. Sidecars: empty. */
  readonly gateways: readonly Gateway[];
  /** Virtual services attached to a gateway ("namespace/name") and visible to this scope, oldest first. */
  listGatewayVirtualServices(gateway: string): readonly ResolvedVirtualService[];
}

/** The mesh as one workload's inbound side sees it. */
export interface WorkloadView {
  readonly scope: ScopeView;
  readonly key: WorkloadKey;
  /** Targets with their services, sorted by target port, then age of the service. */
  readonly targets: readonly {
    readonly target: ServiceTarget;
    readonly service: Service;
    readonly portName: string;
    readonly protocol: Protocol;
  }[];
}
