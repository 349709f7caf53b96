import type { EndpointSlice, EndpointSliceSpec, LegacyEndpoints } from "../api/kubernetes/types.ts";
import { type Labels, labelsMatch } from "../api/object.ts";
import { compareText, sortEntries } from "../lib/text-order.ts";
import type { Endpoint } from "../model/endpoint.ts";
import type { Features } from "../model/features.ts";
import { serviceKey } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { addNetworkLabel } from "../model/workload-labels.ts";
import { deriveKubeEndpoints, type PodLookup } from "../registry/kube-endpoints.ts";
import { formatKubeHostname } from "../registry/kube-services.ts";
import { deriveServiceEntryEndpoints } from "../registry/service-entries.ts";
import { deriveSelectedEndpoints } from "../registry/workload-entries.ts";
import { DependencyTable } from "./dependency-table.ts";
import { isDeepEqual, keepIfSameElements } from "./is-deep-equal.ts";
import { nameKey, type ObjectDelta } from "./object-store.ts";
import { createPersistentMap, draftMap, type MapDraft, type PersistentMap } from "./persistent-map.ts";
import type { Contribution, ServiceTable } from "./service-table.ts";
import type { EndpointIndex } from "./snapshot.ts";
import type { WorkloadDelta, WorkloadTable } from "./workload-table.ts";

export interface EndpointTableOptions {
  readonly domain: string;
  readonly clusterId: string;
  readonly features: Features;
  readonly services: ServiceTable;
  readonly workloads: WorkloadTable;
}

/** What happened in one step, as far as endpoints are made of it. */
export interface EndpointUpdate {
  readonly deltas: readonly ObjectDelta[];
  readonly workloads: readonly WorkloadDelta[];
  /** Keys of services of which an object changed. */
  readonly services: ReadonlySet<string>;
  /** Network of an address whose workload states none; another function where answers may differ. */
  readonly findNetwork: (address: string) => string;
}

// Slices that a cluster set imported from elsewhere belong to a ServiceImport, not to the service of the name.
const importedServiceLabel = "multicluster.kubernetes.io/service-name";

const noEndpoints: readonly Endpoint[] = [];

/** Endpoints by service, made anew only where an input of theirs changed. Lives as long as its builder. */
export class EndpointTable {
  readonly #options: EndpointTableOptions;
  readonly #slices = new Map<string, Map<string, EndpointSlice>>();
  readonly #legacy = new Map<string, LegacyEndpoints>();
  readonly #dependencies = new DependencyTable();
  /** Selectors of services that take workloads: namespace, then service key. */
  readonly #selectors = new Map<string, Map<string, readonly Selection[]>>();
  #findNetwork: (address: string) => string = () => "";
  #endpoints: PersistentMap<readonly Endpoint[]> = createPersistentMap();
  #servicesAt: PersistentMap<readonly string[]> = createPersistentMap();
  #index: EndpointIndex = createIndex(this.#endpoints, this.#servicesAt);

  constructor(options: EndpointTableOptions) {
    this.#options = options;
  }

  get index(): EndpointIndex {
    return this.#index;
  }

  /** Makes the endpoints of all services anew that the update touches; returns keys of those that came out different. */
  update(update: EndpointUpdate): ReadonlySet<string> {
    const dirty = new Set(update.services);
    for (const key of update.services) this.#noteSelectors(key);
    for (const delta of update.deltas) this.#noteSlices(delta, dirty);
    for (const delta of update.workloads) this.#noteWorkload(delta, dirty);
    if (update.findNetwork !== this.#findNetwork) {
      this.#findNetwork = update.findNetwork;
      for (const service of this.#options.services.index.all) dirty.add(serviceKey(service));
    }
    return this.#publish(dirty);
  }

  #noteSelectors(key: string): void {
    const namespace = key.slice(0, key.indexOf("/"));
    const selections = this.#options.services
      .listContributions(key)
      .flatMap((contribution) => selectionOf(contribution));
    const known = this.#selectors.get(namespace) ?? new Map<string, readonly Selection[]>();
    if (selections.length > 0) known.set(key, selections);
    else known.delete(key);
    if (known.size > 0) this.#selectors.set(namespace, known);
    else this.#selectors.delete(namespace);
  }

  #noteSlices(delta: ObjectDelta, dirty: Set<string>): void {
    const { ref } = delta;
    if (ref.kind === "Endpoints") {
      const key = nameKey(ref.namespace, ref.name);
      if (delta.after === undefined) this.#legacy.delete(key);
      else this.#legacy.set(key, delta.after as LegacyEndpoints);
      dirty.add(this.#serviceKeyOf(ref.namespace, ref.name));
      return;
    }
    if (ref.kind !== "EndpointSlice") return;
    for (const slice of [delta.before as EndpointSlice | undefined, delta.after as EndpointSlice | undefined]) {
      if (slice === undefined || slice.spec.serviceName === "") continue;
      const key = nameKey(ref.namespace, slice.spec.serviceName);
      const slices = this.#slices.get(key) ?? new Map<string, EndpointSlice>();
      if (slice !== delta.after || slice.meta.labels[importedServiceLabel] !== undefined) slices.delete(ref.name);
      else slices.set(ref.name, slice);
      if (slices.size > 0) this.#slices.set(key, slices);
      else this.#slices.delete(key);
      dirty.add(this.#serviceKeyOf(ref.namespace, slice.spec.serviceName));
    }
  }

  #noteWorkload({ before, after }: WorkloadDelta, dirty: Set<string>): void {
    for (const workload of [before, after]) {
      if (workload === undefined) continue;
      for (const key of this.#dependencies.listDependents(podInput(workload.namespace, workload.name))) dirty.add(key);
      for (const address of workload.addresses) {
        for (const key of this.#dependencies.listDependents(addressInput(address))) dirty.add(key);
      }
      for (const [key, selections] of this.#selectors.get(workload.namespace) ?? []) {
        if (selections.some((selection) => selects(selection, workload))) dirty.add(key);
      }
    }
  }

  #publish(dirty: ReadonlySet<string>): ReadonlySet<string> {
    const changed = new Set<string>();
    const endpoints = draftMap(this.#endpoints);
    const servicesAt = draftMap(this.#servicesAt);
    for (const key of dirty) {
      const before = endpoints.get(key) ?? noEndpoints;
      const after = keepEqualEndpoints(before, this.#derive(key));
      if (before === after) continue;
      changed.add(key);
      if (after.length === 0) endpoints.delete(key);
      else endpoints.set(key, after);
      noteAddresses(servicesAt, key, before, after);
    }
    if (changed.size === 0) return changed;
    this.#endpoints = endpoints.finish();
    this.#servicesAt = servicesAt.finish();
    this.#index = createIndex(this.#endpoints, this.#servicesAt);
    return changed;
  }

  #derive(key: string): readonly Endpoint[] {
    const inputs = new Set<string>();
    const lists = this.#options.services
      .listContributions(key)
      .map((contribution) => this.#deriveContribution(contribution, inputs));
    this.#dependencies.replace(key, inputs);
    return withoutDuplicates(lists.flat());
  }

  #deriveContribution({ object, service }: Contribution, inputs: Set<string>): readonly Endpoint[] {
    const { clusterId, features } = this.#options;
    if (object.kind === "ServiceEntry") {
      const selected = selectionOf({ object, service }).flatMap((selection) =>
        this.#select(service.namespace, selection),
      );
      const endpoints = deriveServiceEntryEndpoints({ entry: object, hostname: service.hostname, selected, clusterId });
      return endpoints.map((endpoint) => this.#place(endpoint));
    }
    if (service.resolution === "alias") return noEndpoints;
    const fromSlices = deriveKubeEndpoints({
      service,
      slices: this.#listSlices(object.meta.namespace, object.meta.name),
      pods: this.#trackedPods(inputs),
      clusterId,
      findNetwork: this.#findNetwork,
      features,
    });
    const selected = selectionOf({ object, service }).flatMap((selection) =>
      this.#select(service.namespace, selection),
    );
    const fromEntries = deriveSelectedEndpoints(service, selected, clusterId).map((endpoint) => this.#place(endpoint));
    return [...fromSlices, ...fromEntries];
  }

  /** The endpoint with its network, where neither its entry nor its workload states one. */
  #place(endpoint: Endpoint): Endpoint {
    const network = endpoint.network === "" ? this.#findNetwork(endpoint.address) : "";
    return network === "" ? endpoint : { ...endpoint, network, labels: addNetworkLabel(endpoint.labels, network) };
  }

  #select(namespace: string, selection: Selection): readonly Workload[] {
    const { workloads } = this.#options;
    return [
      ...workloads.listNamespace("WorkloadEntry", namespace),
      ...(selection.pods ? workloads.listNamespace("Pod", namespace) : []),
    ]
      .filter(([, workload]) => selects(selection, workload) && isOffered(workload))
      .sort(([a], [b]) => compareText(a, b))
      .map(([, workload]) => workload);
  }

  #listSlices(namespace: string, name: string): readonly EndpointSliceSpec[] {
    const key = nameKey(namespace, name);
    const slices = this.#slices.get(key);
    if (slices === undefined) return this.#legacy.get(key)?.spec.slices ?? [];
    return sortEntries(slices).map(([, slice]) => slice.spec);
  }

  #trackedPods(inputs: Set<string>): PodLookup {
    const { workloads } = this.#options;
    return {
      find(namespace, name) {
        inputs.add(podInput(namespace, name));
        const workload = workloads.index.find(namespace, name);
        return workload?.object.kind === "Pod" ? workload : undefined;
      },
      byAddress(address) {
        inputs.add(addressInput(address));
        const workload = workloads.index.byAddress(address);
        return workload?.object.kind === "Pod" ? workload : undefined;
      },
    };
  }

  #serviceKeyOf(namespace: string, name: string): string {
    return serviceKey({ hostname: formatKubeHostname(name, namespace, this.#options.domain), namespace });
  }
}

interface Selection {
  readonly labels: Labels;
  /** Whether pods are selected, too, and not only workload entries. */
  readonly pods: boolean;
}

// Pods of a Kubernetes service come in its slices, so that its selector only looks for workload entries.
function selectionOf({ object }: Contribution): readonly Selection[] {
  if (object.kind === "ServiceEntry") {
    const { workloadSelector } = object.spec;
    // One without labels selects all there are.
    return workloadSelector === undefined ? [] : [{ labels: workloadSelector.labels ?? {}, pods: true }];
  }
  const labels = object.spec.selector ?? {};
  return Object.keys(labels).length === 0 ? [] : [{ labels, pods: false }];
}

function selects(selection: Selection, workload: Workload): boolean {
  return (selection.pods || workload.object.kind === "WorkloadEntry") && labelsMatch(selection.labels, workload.labels);
}

// Pods that are not ready are known to clients, so that they can be told from those that are gone. A workload entry of
// which a probe says that it is not well is as good as gone (Istio: serviceentry controller).
function isOffered({ object, ready }: Workload): boolean {
  return object.kind === "Pod" || ready !== false;
}

const podInput = (namespace: string, name: string): string => `pod/${namespace}/${name}`;
const addressInput = (address: string): string => `address/${address}`;

const endpointKey = ({ address, network, port, servicePortName, servicePort = 0 }: Endpoint): string =>
  `${address === "" ? network : address}/${port}/${servicePortName}/${servicePort}`;

// A pod may have a workload entry of the same address, and entries may share a host: the first one stands.
function withoutDuplicates(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const byKey = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const key = endpointKey(endpoint);
    if (!byKey.has(key)) byKey.set(key, endpoint);
  }
  return byKey.size === endpoints.length ? endpoints : [...byKey.values()];
}

// An endpoint that reads the same is the same object: its encoded bytes are kept by identity.
function keepEqualEndpoints(before: readonly Endpoint[], after: readonly Endpoint[]): readonly Endpoint[] {
  if (before.length === 0) return after.length === 0 ? before : after;
  const known = new Map(before.map((endpoint) => [endpointKey(endpoint), endpoint]));
  const kept = after.map((endpoint) => {
    const earlier = known.get(endpointKey(endpoint));
    return earlier !== undefined && isDeepEqual(earlier, endpoint) ? earlier : endpoint;
  });
  return keepIfSameElements(before, kept);
}

function noteAddresses(
  draft: MapDraft<readonly string[]>,
  key: string,
  before: readonly Endpoint[],
  after: readonly Endpoint[],
): void {
  const [old, current] = [addressesOf(before), addressesOf(after)];
  for (const address of old) {
    if (current.has(address)) continue;
    const left = (draft.get(address) ?? []).filter((other) => other !== key);
    if (left.length === 0) draft.delete(address);
    else draft.set(address, left);
  }
  for (const address of current) {
    if (!old.has(address)) draft.set(address, [...(draft.get(address) ?? []), key].sort(compareText));
  }
}

function addressesOf(endpoints: readonly Endpoint[]): ReadonlySet<string> {
  return new Set(endpoints.map((endpoint) => endpoint.address));
}

function createIndex(
  endpoints: PersistentMap<readonly Endpoint[]>,
  servicesAt: PersistentMap<readonly string[]>,
): EndpointIndex {
  return {
    list: (hostname, namespace) => endpoints.get(serviceKey({ hostname, namespace })) ?? noEndpoints,
    *entries() {
      for (const [key, list] of endpoints.entries()) {
        const slash = key.indexOf("/");
        yield [key.slice(slash + 1), key.slice(0, slash), list];
      }
    },
    servicesAt: (address) => servicesAt.get(address) ?? [],
  };
}
