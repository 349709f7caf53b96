import type { Kind } from "../api/kinds.ts";
import { defaultMeshConfig } from "../api/mesh-config/defaults.ts";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import type { Message } from "../lib/message.ts";
import { defaultFeatures, type Features } from "../model/features.ts";
import type { NetworkGateway } from "../model/network-gateway.ts";
import { networkLabel } from "../model/workload-labels.ts";
import { listTrafficDistributions } from "../registry/traffic-distribution.ts";
import type { ChangeSet } from "../sources/source.ts";
import { ConfigTable, type ConfigView } from "./config-table.ts";
import { CredentialTable, type CredentialVault } from "./credential-table.ts";
import { EndpointTable } from "./endpoint-table.ts";
import { type MeshSettings, readMeshSettings } from "./mesh-settings.ts";
import { NetworkTable } from "./network-table.ts";
import {
  applyObjectChanges,
  findObject,
  listObjects,
  nameKey,
  type ObjectDelta,
  type ObjectMaps,
} from "./object-store.ts";
import { ReferenceMessages } from "./reference-messages.ts";
import { ServiceTable } from "./service-table.ts";
import {
  type EndpointIndex,
  isPublicKind,
  type PublicKind,
  type ServiceIndex,
  type Snapshot,
  type SnapshotChange,
  type WorkloadIndex,
} from "./snapshot.ts";
import { WorkloadTable } from "./workload-table.ts";

export interface SnapshotBuilderOptions {
  /** Domain of the cluster, such as "cluster.local". */
  readonly domain: string;
  readonly clusterId: string;
  /** Namespace of the ConfigMap with the mesh's settings; "istio-system" where not given. */
  readonly systemNamespace?: string;
  /** Name of that ConfigMap; "istio" where not given. */
  readonly meshConfigName?: string;
  /** Name of a ConfigMap of the same namespace whose settings lie below those; none where not given. */
  readonly sharedMeshConfigName?: string;
  /** Settings below those that a ConfigMap states; Istio's defaults where not given. */
  readonly mesh?: MeshConfig;
  /** What the operator has switched on or off; istiod's defaults where not given. */
  readonly features?: Features;
}

/** Holds the mesh of this moment; everything that it hands out is immutable. */
export interface SnapshotBuilder {
  /** The snapshot of this moment, empty before the first change set. */
  readonly current: Snapshot;
  /**
   * Applies a change set as one step. `source` names where it comes from: the problems of a change set take the place
   * of the earlier ones of the same source.
   */
  apply(changeSet: ChangeSet, source?: string): SnapshotChange;
}

/** Creates a builder with an empty mesh. */
export function createSnapshotBuilder(options: SnapshotBuilderOptions): SnapshotBuilder {
  return new IncrementalBuilder(options);
}

class IncrementalBuilder implements SnapshotBuilder {
  readonly #options: SnapshotBuilderOptions;
  readonly #workloads: WorkloadTable;
  readonly #services: ServiceTable;
  readonly #networks: NetworkTable;
  readonly #endpoints: EndpointTable;
  readonly #config: ConfigTable;
  readonly #credentials = new CredentialTable();
  readonly #problems = new Map<string, readonly Message[]>();
  readonly #references = new ReferenceMessages();
  #maps: ObjectMaps = new Map();
  #mesh: MeshSettings;
  #current: Snapshot;

  constructor(options: SnapshotBuilderOptions) {
    this.#options = options;
    this.#mesh = { config: options.mesh ?? defaultMeshConfig, networks: {}, problems: [] };
    const { allocationPrefixV4: v4, allocationPrefixV6: v6 } = options.features ?? defaultFeatures;
    this.#services = new ServiceTable({ v4, v6 });
    this.#workloads = new WorkloadTable(options.clusterId);
    this.#networks = new NetworkTable(options);
    this.#endpoints = new EndpointTable({
      ...options,
      features: options.features ?? defaultFeatures,
      services: this.#services,
      workloads: this.#workloads,
    });
    this.#config = new ConfigTable(options.domain);
    this.#current = this.#createSnapshot(0);
  }

  get current(): Snapshot {
    return this.#current;
  }

  apply(changeSet: ChangeSet, source = ""): SnapshotChange {
    const before = this.#current;
    this.#problems.set(source, changeSet.problems);
    const { maps, deltas } = applyObjectChanges(this.#maps, changeSet.changes);
    this.#maps = maps;
    const kinds = new Set<Kind | "MeshConfig">(deltas.map((delta) => delta.ref.kind as Kind));
    if (this.#updateMesh(deltas)) kinds.add("MeshConfig");
    if (this.#updateNetworks(deltas)) kinds.add("MeshConfig");
    const changed = this.#updateRegistry(deltas);
    this.#credentials.update(deltas);
    if (kinds.size > 0) this.#config.update(maps, kinds, this.#mesh.config);
    this.#current = this.#createSnapshot(before.generation + 1);
    return {
      before: before.generation === 0 ? undefined : before,
      after: this.#current,
      kinds,
      objects: deltas.map((delta) => delta.ref),
      ...changed,
    };
  }

  /** True where the settings read differently. */
  #updateMesh(deltas: readonly ObjectDelta[]): boolean {
    const { systemNamespace = "istio-system", meshConfigName = "istio", sharedMeshConfigName = "" } = this.#options;
    const isSettings = ({ ref }: ObjectDelta) =>
      ref.kind === "ConfigMap" &&
      ref.namespace === systemNamespace &&
      (ref.name === meshConfigName || ref.name === sharedMeshConfigName);
    if (!deltas.some(isSettings)) return false;
    const find = (name: string) => findObject(this.#maps, "ConfigMap", nameKey(systemNamespace, name));
    const before = this.#mesh;
    const below = this.#options.mesh ?? defaultMeshConfig;
    this.#mesh = readMeshSettings({ shared: find(sharedMeshConfigName), own: find(meshConfigName) }, before, below);
    return this.#mesh.config !== before.config || this.#mesh.networks !== before.networks;
  }

  /** True where there are other gateways between networks: any cluster may have endpoints behind them. */
  #updateNetworks(deltas: readonly ObjectDelta[]): boolean {
    const before = this.#networks.gateways;
    const systemNamespace = nameKey("", this.#options.systemNamespace ?? "istio-system");
    this.#networks.update({
      deltas,
      networks: this.#mesh.networks,
      ofNamespace: findObject(this.#maps, "Namespace", systemNamespace)?.meta.labels[networkLabel] ?? "",
      listServices: () => listObjects(this.#maps, "Service"),
      listNodes: () => listObjects(this.#maps, "Node"),
    });
    return this.#networks.gateways !== before;
  }

  #updateRegistry(deltas: readonly ObjectDelta[]): Pick<SnapshotChange, "services" | "endpoints"> {
    const { config } = this.#mesh;
    const workloads = this.#workloads.update(deltas, (name) => findObject(this.#maps, "Node", nameKey("", name)));
    const services = this.#services.update(deltas, {
      domain: this.#options.domain,
      trustDomain: config.trustDomain,
      defaultExportTo: config.defaultServiceExportTo,
      trafficDistributions: listTrafficDistributions(listObjects(this.#maps, "Namespace")),
    });
    const endpoints = this.#endpoints.update({
      deltas,
      workloads,
      services: services.touched,
      findNetwork: this.#networks.find,
    });
    return { services: services.changed, endpoints };
  }

  #createSnapshot(generation: number): Snapshot {
    return new MeshSnapshot({
      generation,
      mesh: this.#mesh.config,
      meshNetworks: this.#mesh.networks,
      networkGateways: this.#networks.gateways,
      findNetwork: this.#networks.find,
      features: this.#options.features ?? defaultFeatures,
      domain: this.#options.domain,
      clusterId: this.#options.clusterId,
      services: this.#services.index,
      endpoints: this.#endpoints.index,
      workloads: this.#workloads.index,
      config: this.#config.view,
      credentials: this.#credentials.vault,
      maps: this.#maps,
      references: this.#references,
      problems: [...[...this.#problems.values()].flat(), ...this.#mesh.problems, ...this.#credentials.messages],
    });
  }
}

interface SnapshotParts {
  readonly generation: number;
  readonly mesh: MeshConfig;
  readonly meshNetworks: MeshNetworks;
  readonly networkGateways: readonly NetworkGateway[];
  readonly findNetwork: (address: string) => string;
  readonly features: Features;
  readonly domain: string;
  readonly clusterId: string;
  readonly services: ServiceIndex;
  readonly endpoints: EndpointIndex;
  readonly workloads: WorkloadIndex;
  readonly config: ConfigView;
  readonly credentials: CredentialVault;
  readonly maps: ObjectMaps;
  readonly references: ReferenceMessages;
  readonly problems: readonly Message[];
}

class MeshSnapshot implements Snapshot {
  readonly generation: number;
  readonly mesh: MeshConfig;
  readonly meshNetworks: MeshNetworks;
  readonly networkGateways: readonly NetworkGateway[];
  readonly findNetwork: (address: string) => string;
  readonly features: Features;
  readonly domain: string;
  readonly clusterId: string;
  readonly services: ServiceIndex;
  readonly endpoints: EndpointIndex;
  readonly workloads: WorkloadIndex;
  readonly credentials: CredentialVault;
  readonly virtualServices: ConfigView["virtualServices"];
  readonly virtualServicesByGateway: ConfigView["virtualServicesByGateway"];
  readonly destinationRules: ConfigView["destinationRules"];
  readonly gateways: ConfigView["gateways"];
  readonly sidecars: ConfigView["sidecars"];
  readonly peerAuthentications: ConfigView["peerAuthentications"];
  readonly envoyFilters: ConfigView["envoyFilters"];
  readonly namespaceLabels: ConfigView["namespaceLabels"];
  readonly selectorLabels: ConfigView["selectorLabels"];
  readonly selectorPairs: ConfigView["selectorPairs"];
  readonly #parts: SnapshotParts;
  readonly #maps: ObjectMaps;
  readonly #problems: readonly Message[];
  #messages: readonly Message[] | undefined;

  constructor(parts: SnapshotParts) {
    this.generation = parts.generation;
    this.mesh = parts.mesh;
    this.meshNetworks = parts.meshNetworks;
    this.networkGateways = parts.networkGateways;
    this.findNetwork = parts.findNetwork;
    this.features = parts.features;
    this.domain = parts.domain;
    this.clusterId = parts.clusterId;
    this.services = parts.services;
    this.endpoints = parts.endpoints;
    this.workloads = parts.workloads;
    this.credentials = parts.credentials;
    this.virtualServices = parts.config.virtualServices;
    this.virtualServicesByGateway = parts.config.virtualServicesByGateway;
    this.destinationRules = parts.config.destinationRules;
    this.gateways = parts.config.gateways;
    this.sidecars = parts.config.sidecars;
    this.peerAuthentications = parts.config.peerAuthentications;
    this.envoyFilters = parts.config.envoyFilters;
    this.namespaceLabels = parts.config.namespaceLabels;
    this.selectorLabels = parts.config.selectorLabels;
    this.selectorPairs = parts.config.selectorPairs;
    this.#parts = parts;
    this.#maps = parts.maps;
    this.#problems = parts.problems;
  }

  withMesh(mesh: MeshConfig): Snapshot {
    return new MeshSnapshot({ ...this.#parts, mesh });
  }

  // Found when somebody asks: a change must not wait for what only people read.
  get messages(): readonly Message[] {
    this.#messages ??= [...this.#problems, ...this.#parts.references.list(this)];
    return this.#messages;
  }

  // Also for kinds that only look public: a Secret is never given away, whatever the types were made to say.
  objects<K extends PublicKind>(kind: K) {
    return isPublicKind(kind) ? listObjects(this.#maps, kind) : [];
  }

  findObject<K extends PublicKind>(kind: K, namespace: string, name: string) {
    return isPublicKind(kind) ? findObject(this.#maps, kind, nameKey(namespace, name)) : undefined;
  }
}
