import type { MeshObject } from "../api/kinds.ts";
import type { KubeNode, Pod } from "../api/kubernetes/types.ts";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import { objectKey } from "../lib/message.ts";
import { compareText } from "../lib/text-order.ts";
import type { Workload } from "../model/workload.ts";
import { convertWorkloadEntry } from "../registry/workload-entries.ts";
import { convertPod, deriveLocality } from "../registry/workloads.ts";
import { isDeepEqual, keepIfEqual } from "./is-deep-equal.ts";
import { nameKey, type ObjectDelta } from "./object-store.ts";
import { createPersistentMap, draftMap, type PersistentMap } from "./persistent-map.ts";
import type { WorkloadIndex } from "./snapshot.ts";

export interface WorkloadDelta {
  readonly before: Workload | undefined;
  readonly after: Workload | undefined;
}

interface Entry {
  readonly workload: Workload;
  /** Undefined for workload entries. */
  readonly pod: Pod | undefined;
}

/** Pods and workload entries as workloads, kept up to date change by change. Lives as long as its builder. */
export class WorkloadTable {
  readonly #clusterId: string;
  readonly #entries = new Map<string, Entry>();
  /** By kind and namespace, then key. */
  readonly #byNamespace = new Map<string, Map<string, Workload>>();
  readonly #byAddress = new Map<string, Set<string>>();
  readonly #podsByNode = new Map<string, Map<string, Pod>>();
  #names: PersistentMap<Workload> = createPersistentMap();
  #addresses: PersistentMap<Workload> = createPersistentMap();
  #index: WorkloadIndex = createIndex(this.#names, this.#addresses);

  constructor(clusterId: string) {
    this.#clusterId = clusterId;
  }

  get index(): WorkloadIndex {
    return this.#index;
  }

  /** Pods or workload entries of a namespace by key, in no particular order. */
  listNamespace(kind: "Pod" | "WorkloadEntry", namespace: string): ReadonlyMap<string, Workload> {
    return this.#byNamespace.get(nameKey(kind, namespace)) ?? new Map();
  }

  /** Takes over what happened to pods, nodes and workload entries; returns the workloads that came out different. */
  update(deltas: readonly ObjectDelta[], findNode: (name: string) => KubeNode | undefined): readonly WorkloadDelta[] {
    const pods = new Map<string, { readonly key: string; readonly pod: Pod | undefined }>();
    const changes: { key: string; after: Entry | undefined }[] = [];
    for (const { ref, after } of deltas) {
      const key = objectKey(ref);
      if (ref.kind === "Pod") {
        this.#notePodNode(key, after as Pod | undefined);
        pods.set(key, { key, pod: after as Pod | undefined });
      } else if (ref.kind === "WorkloadEntry") {
        const entry = after as WorkloadEntry | undefined;
        changes.push({
          key,
          after: entry && { workload: convertWorkloadEntry(entry, this.#clusterId), pod: undefined },
        });
      }
    }
    // After all pods are in: a node that came in the same step may be the one of a new pod.
    for (const { ref, before, after } of deltas) {
      // Nodes report their health every few seconds; only where they are matters.
      if (ref.kind !== "Node" || isSamePlace(before, after)) continue;
      for (const [key, pod] of this.#podsByNode.get(ref.name) ?? []) pods.set(key, { key, pod });
    }
    for (const { key, pod } of pods.values()) {
      const node = pod?.spec.nodeName === undefined ? undefined : findNode(pod.spec.nodeName);
      changes.push({ key, after: pod && { workload: convertPod(pod, node, this.#clusterId), pod } });
    }
    return this.#takeOver(changes);
  }

  #takeOver(changes: readonly { key: string; after: Entry | undefined }[]): readonly WorkloadDelta[] {
    const results: WorkloadDelta[] = [];
    const names = new Set<string>();
    const addresses = new Set<string>();
    for (const { key, after } of changes) {
      const before = this.#entries.get(key);
      const workload = after && keepIfEqual(before?.workload, after.workload);
      const activityChanged = isAddressable(before) !== isAddressable(after);
      if (after === undefined || workload === undefined) this.#entries.delete(key);
      else this.#entries.set(key, { workload, pod: after.pod });
      if (before?.workload === workload && !activityChanged) continue;
      for (const side of [before?.workload, workload]) {
        if (side === undefined) continue;
        names.add(nameKey(side.namespace, side.name));
        for (const address of side.addresses) addresses.add(address);
      }
      this.#noteNamespace(key, before?.workload, workload);
      this.#noteAddresses(key, before, after);
      results.push({ before: before?.workload, after: workload });
    }
    this.#publish(names, addresses);
    return results;
  }

  #notePodNode(key: string, pod: Pod | undefined): void {
    const known = this.#entries.get(key)?.pod?.spec.nodeName;
    if (known !== undefined && known !== pod?.spec.nodeName) this.#podsByNode.get(known)?.delete(key);
    const name = pod?.spec.nodeName;
    if (pod === undefined || name === undefined) return;
    const onNode = this.#podsByNode.get(name) ?? new Map<string, Pod>();
    this.#podsByNode.set(name, onNode.set(key, pod));
  }

  #noteNamespace(key: string, before: Workload | undefined, after: Workload | undefined): void {
    const one = after ?? before;
    const namespace = nameKey(one?.object.kind ?? "", one?.namespace ?? "");
    const members = this.#byNamespace.get(namespace) ?? new Map<string, Workload>();
    if (after === undefined) members.delete(key);
    else members.set(key, after);
    if (members.size === 0) this.#byNamespace.delete(namespace);
    else this.#byNamespace.set(namespace, members);
  }

  #noteAddresses(key: string, before: Entry | undefined, after: Entry | undefined): void {
    for (const address of isAddressable(before) ? (before?.workload.addresses ?? []) : []) {
      const keys = this.#byAddress.get(address);
      keys?.delete(key);
      if (keys?.size === 0) this.#byAddress.delete(address);
    }
    for (const address of isAddressable(after) ? (after?.workload.addresses ?? []) : []) {
      this.#byAddress.set(address, (this.#byAddress.get(address) ?? new Set<string>()).add(key));
    }
  }

  #publish(names: ReadonlySet<string>, addresses: ReadonlySet<string>): void {
    const nameDraft = draftMap(this.#names);
    for (const name of names) {
      const workload =
        this.#entries.get(`Pod/${name}`)?.workload ?? this.#entries.get(`WorkloadEntry/${name}`)?.workload;
      if (workload === undefined) nameDraft.delete(name);
      else nameDraft.set(name, workload);
    }
    const addressDraft = draftMap(this.#addresses);
    for (const address of addresses) {
      const workload = this.#selectByAddress(address);
      if (workload === undefined) addressDraft.delete(address);
      else addressDraft.set(address, workload);
    }
    const [nameMap, addressMap] = [nameDraft.finish(), addressDraft.finish()];
    if (nameMap === this.#names && addressMap === this.#addresses) return;
    [this.#names, this.#addresses] = [nameMap, addressMap];
    this.#index = createIndex(nameMap, addressMap);
  }

  // Pods of the host's network share its address, so that it tells of a pod only where there is a single one. A
  // workload entry with the address of a pod was written on purpose and wins.
  #selectByAddress(address: string): Workload | undefined {
    const entries = [...(this.#byAddress.get(address) ?? [])]
      .sort(compareText)
      .flatMap((key) => this.#entries.get(key) ?? []);
    const own = entries.filter((entry) => entry.pod?.spec.hostNetwork !== true);
    const chosen = own.find((entry) => entry.pod === undefined) ?? own[0];
    if (chosen !== undefined) return chosen.workload;
    return entries.length === 1 ? entries[0]?.workload : undefined;
  }
}

function isSamePlace(before: MeshObject | undefined, after: MeshObject | undefined): boolean {
  return isDeepEqual(deriveLocality({}, before?.meta.labels ?? {}), deriveLocality({}, after?.meta.labels ?? {}));
}

// The address of a pod that has ended may already be another's.
function isAddressable(entry: Entry | undefined): boolean {
  if (entry === undefined) return false;
  return entry.pod === undefined || (entry.pod.spec.phase !== "Succeeded" && entry.pod.spec.phase !== "Failed");
}

function createIndex(names: PersistentMap<Workload>, addresses: PersistentMap<Workload>): WorkloadIndex {
  let all: readonly Workload[] | undefined;
  return {
    byAddress: (address) => addresses.get(address),
    find: (namespace, name) => names.get(nameKey(namespace, name)),
    get all() {
      all ??= [...names.values()].sort((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
      return all;
    },
  };
}
