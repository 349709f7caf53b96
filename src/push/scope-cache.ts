/**
 * Resources by scope. A scope, a listener key and a workload key each have one entry that all their proxies share;
 * an entry lives while a proxy holds it.
 */
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Built } from "../translate/built.ts";
import type { Generators } from "../translate/generators.ts";
import type { ListenerKey, ScopeKey, ScopeView, WorkloadKey, WorkloadView } from "../translate/scope.ts";
import type { Touched } from "./dependency-table.ts";
import type { EncodedResource } from "./encode.ts";
import { internNames, type NameSet } from "./name-set.ts";
import { NamedCache, PartCache, type ReportFailure } from "./part-cache.ts";
import { buildPart, buildSet, findInSet, type ResourcePart, type ResourceSet, replaceInSet } from "./resource-set.ts";
import { resourceTypeOf, type SharedType, type XdsType } from "./resource-types.ts";

/** What all entries are made with. */
export interface ScopeInputs {
  readonly generators: Generators;
  readonly report: ReportFailure;
}

/** A set for a subscription. Where a resource failed and has no earlier form the set says so: nothing in it is removed. */
export interface Resolution {
  readonly set: ResourceSet<EncodedResource>;
  readonly isComplete: boolean;
}

/** Names for a subscription that names resources; undefined for everything. */
export type Wanted = NameSet | undefined;

/** Makes sets for lists of names from a NamedCache and keeps them while they are equal. */
export class NamedSets {
  readonly cache: NamedCache;
  readonly #generate: (name: string) => Built<object> | undefined;
  readonly #sets = new WeakMap<NameSet, { readonly epoch: number; readonly resolution: Resolution }>();

  constructor(cache: NamedCache, generate: (name: string) => Built<object> | undefined) {
    this.cache = cache;
    this.#generate = generate;
  }

  resolve(names: NameSet): Resolution {
    const known = this.#sets.get(names);
    if (known?.epoch === this.cache.epoch) return known.resolution;
    const changed = known?.resolution.isComplete === true ? this.cache.listChanged(known.epoch) : undefined;
    const patched = known && changed && this.#patch(names, known.resolution, changed);
    const resolution = patched ?? this.#build(names, known?.resolution);
    this.#sets.set(names, { epoch: this.cache.epoch, resolution });
    return resolution;
  }

  /** `last` with what became of the names that changed; undefined where there are others than before. */
  #patch({ names }: NameSet, last: Resolution, changed: readonly string[]): Resolution | undefined {
    const resources: EncodedResource[] = [];
    for (const name of changed) {
      if (!names.has(name)) continue;
      const { resource, hasFailed } = this.#get(name);
      if (resource === undefined || hasFailed || findInSet(last.set, name) === undefined) return undefined;
      resources.push(resource);
    }
    const set = replaceInSet(last.set, resources);
    return set === last.set ? last : { set, isComplete: true };
  }

  #get(name: string): ReturnType<NamedCache["get"]> {
    return this.cache.get(name, () => this.#generate(name));
  }

  #build({ names }: NameSet, last: Resolution | undefined): Resolution {
    const resources: EncodedResource[] = [];
    let isComplete = true;
    for (const name of names) {
      const { resource, hasFailed } = this.#get(name);
      if (resource !== undefined) resources.push(resource);
      else if (hasFailed) isComplete = false;
    }
    const set = buildSet([buildPart(resources)]);
    return { set: last?.set.version === set.version ? last.set : set, isComplete };
  }
}

/** Everything outbound of a scope. */
export class ScopeEntry {
  readonly key: ScopeKey;
  readonly #inputs: ScopeInputs;
  readonly #clusters: PartCache;
  readonly #routes: NamedSets;
  readonly #endpoints: NamedSets;
  readonly #extensions: NamedSets;
  readonly #nameTable: PartCache;
  #nameTableSet: ResourceSet<EncodedResource> | undefined;
  #snapshot: Snapshot;
  #view: ScopeView | undefined;
  holders = 0;

  constructor(key: ScopeKey, snapshot: Snapshot, inputs: ScopeInputs) {
    this.key = key;
    this.#inputs = inputs;
    this.#snapshot = snapshot;
    const { generators, report } = inputs;
    this.#clusters = new PartCache(resourceTypeOf("cds"), report);
    this.#routes = new NamedSets(new NamedCache(resourceTypeOf("rds"), report), (name) => {
      return generators.routeConfiguration(this.view, name);
    });
    const endpoints = new NamedCache(resourceTypeOf("eds"), report);
    this.#endpoints = new NamedSets(endpoints, (name) => {
      const service = generators.serviceOfLoadAssignment(this.view, name);
      if (service !== undefined) endpoints.addDependency(name, service);
      return generators.loadAssignment(this.view, name);
    });
    this.#extensions = new NamedSets(new NamedCache(resourceTypeOf("ecds"), report), (name) => {
      return generators.extensionConfig(this.view, name);
    });
    this.#nameTable = new PartCache(resourceTypeOf("nds"), report);
  }

  get view(): ScopeView {
    this.#view ??= this.#inputs.generators.createScopeView(this.#snapshot, this.key);
    return this.#view;
  }

  update(snapshot: Snapshot, touched: Touched): void {
    this.#snapshot = snapshot;
    this.#view = undefined;
    this.#clusters.invalidate(touched.types.has("cds"));
    if (touched.types.has("rds")) this.#routes.cache.invalidateAll();
    else this.#routes.cache.invalidateDependents([]);
    if (touched.types.has("eds")) this.#endpoints.cache.invalidateAll();
    else this.#endpoints.cache.invalidateDependents(touched.endpoints);
    if (touched.types.has("ecds")) this.#extensions.cache.invalidateAll();
    else this.#extensions.cache.invalidateDependents([]);
    this.#nameTable.invalidate(touched.types.has("nds"));
  }

  /** The table of names, a set of one; undefined while it cannot be told because its generator failed. */
  nameTable(): ResourceSet<EncodedResource> | undefined {
    const part = this.#nameTable.get(() => this.#inputs.generators.nameTable(this.view));
    if (part === undefined) return undefined;
    if (this.#nameTableSet?.parts[0] !== part) this.#nameTableSet = buildSet([part]);
    return this.#nameTableSet;
  }

  clusters(): ResourcePart<EncodedResource> | undefined {
    return this.#clusters.get(() => this.#inputs.generators.outboundClusters(this.view));
  }

  /** Resources by name; all that the scope itself names where none are given (of extensions: none). */
  resolveNamed(type: "rds" | "eds" | "ecds", wanted: Wanted): Resolution | undefined {
    const sets = { rds: this.#routes, eds: this.#endpoints, ecds: this.#extensions }[type];
    if (wanted !== undefined || type === "ecds") return sets.resolve(wanted ?? internNames([]));
    const { generators, report } = this.#inputs;
    try {
      const names = type === "rds" ? generators.routeNames(this.view) : generators.loadAssignmentNames(this.view);
      return sets.resolve(internNames(names));
    } catch (cause) {
      report({ type: resourceTypeOf(type), name: "", cause });
      return undefined;
    }
  }

  *list(): Iterable<EncodedResource> {
    yield* this.#clusters.list();
    yield* this.#endpoints.cache.list();
    yield* this.#routes.cache.list();
    yield* this.#extensions.cache.list();
    yield* this.#nameTable.list();
  }
}

/** Outbound listeners of a listener key. */
export class ListenerEntry {
  readonly key: ListenerKey;
  readonly scope: ScopeEntry;
  readonly #inputs: ScopeInputs;
  readonly #listeners: PartCache;
  holders = 0;

  constructor(key: ListenerKey, scope: ScopeEntry, inputs: ScopeInputs) {
    this.key = key;
    this.scope = scope;
    this.#inputs = inputs;
    this.#listeners = new PartCache(resourceTypeOf("lds"), inputs.report);
  }

  update(touched: Touched): void {
    this.#listeners.invalidate(touched.types.has("lds"));
  }

  listeners(): ResourcePart<EncodedResource> | undefined {
    return this.#listeners.get(() => this.#inputs.generators.outboundListeners(this.scope.view, this.key));
  }

  list(): Iterable<EncodedResource> {
    return this.#listeners.list();
  }
}

/** What is a workload's own, and the whole sets of its proxies. */
export class WorkloadEntry {
  readonly key: WorkloadKey;
  readonly listener: ListenerEntry;
  readonly #inputs: ScopeInputs;
  readonly #clusters: PartCache;
  readonly #listeners: PartCache;
  readonly #sets = new Map<XdsType, ResourceSet<EncodedResource>>();
  readonly #subsets = new WeakMap<ResourceSet<EncodedResource>, WeakMap<NameSet, Resolution>>();
  readonly #grpc: ReadonlyMap<XdsType, NamedSets> | undefined;
  #view: WorkloadView | undefined;
  holders = 0;

  constructor(key: WorkloadKey, listener: ListenerEntry, inputs: ScopeInputs & { readonly isGrpc: boolean }) {
    this.key = key;
    this.listener = listener;
    this.#inputs = inputs;
    this.#clusters = new PartCache(resourceTypeOf("cds"), inputs.report);
    this.#listeners = new PartCache(resourceTypeOf("lds"), inputs.report);
    this.#grpc = inputs.isGrpc ? this.#createGrpcSets() : undefined;
  }

  /** A view is made of the scope's view of the same snapshot, so it goes with it. */
  get view(): WorkloadView {
    const scope = this.listener.scope.view;
    if (this.#view?.scope !== scope) this.#view = this.#inputs.generators.createWorkloadView(scope, this.key);
    return this.#view;
  }

  update(touched: Touched): void {
    this.#clusters.invalidate(touched.types.has("cds"));
    this.#listeners.invalidate(touched.types.has("lds"));
    for (const [type, { cache }] of this.#grpc ?? []) {
      if (touched.types.has(type)) cache.invalidateAll();
      else cache.invalidateDependents(type === "eds" ? touched.endpoints : []);
    }
  }

  /** What a subscription is to have now; undefined while it cannot be told because a generator failed. */
  resolve(type: SharedType, wanted: Wanted): Resolution | undefined {
    const grpc = this.#grpc?.get(type);
    // Proxyless gRPC asks for everything by name; it has no use for a proxy's listeners.
    if (grpc !== undefined) return grpc.resolve(wanted ?? internNames([]));
    if (type === "rds" || type === "eds" || type === "ecds") return this.listener.scope.resolveNamed(type, wanted);
    const whole = type === "nds" ? this.listener.scope.nameTable() : this.#resolveWhole(type);
    if (whole === undefined) return undefined;
    return wanted === undefined ? { set: whole, isComplete: true } : this.#resolveSubset(whole, wanted);
  }

  *list(): Iterable<EncodedResource> {
    yield* this.#clusters.list();
    yield* this.#listeners.list();
    for (const { cache } of this.#grpc?.values() ?? []) yield* cache.list();
  }

  #resolveWhole(type: "cds" | "lds"): ResourceSet<EncodedResource> | undefined {
    const { generators } = this.#inputs;
    const shared = type === "cds" ? this.listener.scope.clusters() : this.listener.listeners();
    const own =
      type === "cds"
        ? this.#clusters.get(() => generators.inboundClusters(this.view))
        : this.#listeners.get(() => generators.inboundListeners(this.view));
    if (shared === undefined || own === undefined) return undefined;
    const last = this.#sets.get(type);
    if (last?.parts[0] === shared && last.parts[1] === own) return last;
    const set = buildSet([shared, own]);
    const kept = last?.version === set.version ? last : set;
    this.#sets.set(type, kept);
    return kept;
  }

  #resolveSubset(whole: ResourceSet<EncodedResource>, wanted: NameSet): Resolution {
    let subsets = this.#subsets.get(whole);
    if (subsets === undefined) {
      subsets = new WeakMap();
      this.#subsets.set(whole, subsets);
    }
    let known = subsets.get(wanted);
    if (known === undefined) {
      const resources = [...wanted.names].flatMap((name) => findInSet(whole, name) ?? []);
      known = { set: buildSet([buildPart(resources)]), isComplete: true };
      subsets.set(wanted, known);
    }
    return known;
  }

  #createGrpcSets(): ReadonlyMap<XdsType, NamedSets> {
    const { generators, report } = this.#inputs;
    const { grpc } = generators;
    const define = (type: XdsType, generate: (name: string) => Built<object> | undefined): [XdsType, NamedSets] => {
      return [type, new NamedSets(new NamedCache(resourceTypeOf(type), report), generate)];
    };
    const endpoints = new NamedCache(resourceTypeOf("eds"), report);
    const loadAssignment = (name: string): Built<object> | undefined => {
      const { view } = this.listener.scope;
      const service = generators.serviceOfLoadAssignment(view, name);
      if (service !== undefined) endpoints.addDependency(name, service);
      return grpc?.loadAssignment(view, name);
    };
    return new Map([
      define("cds", (name) => grpc?.cluster(this.listener.scope.view, name)),
      ["eds", new NamedSets(endpoints, loadAssignment)],
      define("lds", (name) => {
        return grpc?.serverListener(this.view, name) ?? grpc?.listener(this.listener.scope.view, name);
      }),
      define("rds", (name) => grpc?.route(this.listener.scope.view, name)),
    ]);
  }
}
