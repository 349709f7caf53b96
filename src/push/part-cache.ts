/**
 * Results of one generator for one key, kept until something that it depends on changes, and kept beyond that where the
 * new result is equal or where the generator fails: what a proxy has is never emptied by a fault.
 */
import type { Built } from "../translate/built.ts";
import { type EncodedResource, encodeResource } from "./encode.ts";
import { buildPart, type ResourcePart } from "./resource-set.ts";
import type { ResourceType } from "./resource-types.ts";

/** Told of every generator or encoding that failed; `name` is "" where the whole type failed. */
export type ReportFailure = (failure: {
  readonly type: ResourceType;
  readonly name: string;
  readonly cause: unknown;
}) => void;

/** All resources of a type that a generator makes at once. */
export class PartCache {
  readonly #type: ResourceType;
  readonly #report: ReportFailure;
  #part: ResourcePart<EncodedResource> | undefined;
  #built: readonly Built<object>[] | undefined;
  #isStale = true;
  #hasFailed = false;

  constructor(type: ResourceType, report: ReportFailure) {
    this.#type = type;
    this.#report = report;
  }

  /** Something changed; `isTouched` says whether it can matter here. What failed is tried again after any change. */
  invalidate(isTouched: boolean): void {
    if (isTouched || this.#hasFailed) this.#isStale = true;
  }

  /** The resources of now: the same part while they are equal; undefined where there never were any good ones. */
  get(generate: () => readonly Built<object>[]): ResourcePart<EncodedResource> | undefined {
    if (!this.#isStale) return this.#part;
    this.#isStale = false;
    this.#hasFailed = false;
    try {
      const built = generate();
      if (built !== this.#built) this.#replace(built);
    } catch (cause) {
      this.#fail("", cause);
    }
    return this.#part;
  }

  list(): Iterable<EncodedResource> {
    return this.#part?.byName.values() ?? [];
  }

  #replace(built: readonly Built<object>[]): void {
    const part = buildPart(built.flatMap((each) => this.#encode(each) ?? []));
    const isEqual = this.#part?.sum === part.sum && this.#part.byName.size === part.byName.size;
    if (isEqual) for (const [name, { built: made }] of part.byName) this.#part?.byName.get(name)?.adopt(made);
    else this.#part = part;
    this.#built = this.#hasFailed ? undefined : built;
  }

  #encode(built: Built<object>): EncodedResource | undefined {
    const last = this.#part?.byName.get(built.name);
    if (last?.built === built) return last;
    try {
      return encodeResource(this.#type, built);
    } catch (cause) {
      this.#fail(built.name, cause);
      return last;
    }
  }

  #fail(name: string, cause: unknown): void {
    this.#hasFailed = true;
    this.#report({ type: this.#type, name, cause });
  }
}

interface NamedEntry {
  readonly resource: EncodedResource | undefined;
  readonly hasFailed: boolean;
}

/** Changes after which a name that nobody asked for in the meantime is forgotten. */
const epochsUnused = 16;

/** Resources of a type that are made one by one, when somebody asks for their names. */
export class NamedCache {
  readonly #type: ResourceType;
  readonly #report: ReportFailure;
  readonly #entries = new Map<string, NamedEntry>();
  /** Epoch in which a name was last asked for. Live subscriptions ask in every epoch. */
  readonly #lastUsed = new Map<string, number>();
  readonly #stale = new Set<string>();
  /** What became stale when the epoch of now began; undefined where that may be anything. */
  #begunWith: readonly string[] | undefined;
  /** Names whose resource could not be made: tried again after any change. */
  readonly #failed = new Set<string>();
  /** Names whose resource depends on what the caller says, such as a service. */
  readonly #dependents = new Map<string, Set<string>>();
  /** Grows with every change that may matter. */
  #epoch = 0;

  constructor(type: ResourceType, report: ReportFailure) {
    this.#type = type;
    this.#report = report;
  }

  get epoch(): number {
    return this.#epoch;
  }

  invalidateAll(): void {
    for (const name of this.#entries.keys()) this.#stale.add(name);
    this.#startEpoch();
    this.#begunWith = undefined;
  }

  /** As invalidateAll, for names that depend on one of `sources`, and for those that failed. */
  invalidateDependents(sources: Iterable<string>): void {
    const before = this.#stale.size;
    const touched = [...sources].flatMap((source) => [...(this.#dependents.get(source) ?? [])]);
    for (const name of [...touched, ...this.#failed]) this.#stale.add(name);
    if (this.#stale.size === before) return;
    this.#startEpoch();
    // Now and then all names have to be asked for, or they are forgotten.
    this.#begunWith = this.#epoch % epochsUnused === 0 ? undefined : [...this.#stale];
  }

  /** Names that may have another resource than in `epoch`; undefined where any may. */
  listChanged(epoch: number): readonly string[] | undefined {
    return epoch === this.#epoch - 1 ? this.#begunWith : undefined;
  }

  /** The resource of a name; `hasFailed` where it could not be made and there is no earlier one. */
  get(name: string, generate: () => Built<object> | undefined): NamedEntry {
    this.#lastUsed.set(name, this.#epoch);
    const known = this.#entries.get(name);
    if (known !== undefined && !this.#stale.has(name)) return known;
    this.#stale.delete(name);
    const entry = this.#make(known?.resource, name, generate);
    this.#entries.set(name, entry);
    if (entry.hasFailed) this.#failed.add(name);
    else this.#failed.delete(name);
    return entry;
  }

  /** Notes that the resource of a name depends on `source`. */
  addDependency(name: string, source: string): void {
    const names = this.#dependents.get(source);
    if (names === undefined) this.#dependents.set(source, new Set([name]));
    else names.add(name);
  }

  *list(): Iterable<EncodedResource> {
    for (const { resource } of this.#entries.values()) if (resource !== undefined) yield resource;
  }

  #startEpoch(): void {
    this.#epoch += 1;
    if (this.#epoch % epochsUnused !== 0) return;
    for (const [name, lastUsed] of this.#lastUsed) {
      if (this.#epoch - lastUsed <= epochsUnused) continue;
      this.#lastUsed.delete(name);
      this.#entries.delete(name);
      this.#stale.delete(name);
      this.#failed.delete(name);
    }
    for (const [source, names] of this.#dependents) {
      for (const name of names) if (!this.#entries.has(name)) names.delete(name);
      if (names.size === 0) this.#dependents.delete(source);
    }
  }

  #make(last: EncodedResource | undefined, name: string, generate: () => Built<object> | undefined): NamedEntry {
    try {
      const built = generate();
      if (built === undefined) return { resource: undefined, hasFailed: false };
      if (built === last?.built) return { resource: last, hasFailed: false };
      const resource = encodeResource(this.#type, built);
      if (last?.version !== resource.version) return { resource, hasFailed: false };
      // The same object for the same content, so that sets stay the same.
      last.adopt(built);
      return { resource: last, hasFailed: false };
    } catch (cause) {
      this.#report({ type: this.#type, name, cause });
      return { resource: last, hasFailed: true };
    }
  }
}
