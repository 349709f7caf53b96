/**
 * On how many proxies the objects of the mesh are live. An object is used by a proxy where it made one of the resources
 * that the proxy is to have, or still has, of the types that it watches. It is live there when each of those types is
 * acknowledged as of the generation of the snapshot in which the object last changed, or a later one. So what other
 * objects and endpoints change in the same resources says nothing about it.
 *
 * Counted when somebody asks: proxies that share resources and have come equally far are counted together, so that a
 * thousand proxies of a scope cost little more than one.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { type ObjectRef, objectKey } from "../lib/message.ts";
import { countAdoptions } from "../push/encode.ts";
import { isFollowed, type ObjectGenerations } from "../push/object-generations.ts";
import { diffSets, findInSet, type ResourcePart, type ResourceSet, type Versioned } from "../push/resource-set.ts";
import type { ResourceStore } from "../push/resource-store.ts";
import type { XdsType } from "../push/resource-types.ts";
import { isEncoded } from "../push/response-encoder.ts";

/** How far a proxy has come with one type. */
export interface SyncState {
  readonly type: XdsType;
  /** What it is to have now. */
  readonly target: ResourceSet;
  /** What it has for certain. */
  readonly held: ResourceSet;
  /** Generation of the snapshot of which it has acknowledged everything; -1 before. */
  readonly syncedGeneration: number;
  /** What it refused, and what it said; undefined where its last answer was none of refusal. */
  readonly refused: { readonly set: ResourceSet; readonly error: string } | undefined;
}

export interface ObjectDistribution {
  readonly ref: ObjectRef;
  /** Connected proxies with a resource that the object made. */
  readonly using: number;
  /** Those of them that have its present form. */
  readonly live: number;
  /** Those of them that refused a response with it. */
  readonly refused: number;
  /** What the first of these said, on one line; "" where none did. */
  readonly refusal: string;
}

export interface DistributionView {
  /** Objects that a connected proxy uses, by objectKey; as of the snapshot that proxies are given. */
  list(): ReadonlyMap<string, ObjectDistribution>;
  /** Calls `listener` some time after the counts may have changed, not more than once in that time. */
  subscribe(listener: () => void): () => void;
}

/** What is counted: connected proxies. */
export interface DistributionMember {
  listSyncStates(): readonly SyncState[];
}

/** Answers come in by the thousand; who listens looks once for all of this time. */
const noticeDelayMs = 200;

export class DistributionCounter implements DistributionView {
  readonly #store: ResourceStore;
  readonly #members: ReadonlyMap<string, DistributionMember>;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #timer: Timer | undefined;

  constructor(store: ResourceStore, members: ReadonlyMap<string, DistributionMember>, clock: Clock) {
    this.#store = store;
    this.#members = members;
    this.#clock = clock;
  }

  list(): ReadonlyMap<string, ObjectDistribution> {
    const identities = new Identities();
    const groups = new Map<string, Group>();
    for (const member of this.#members.values()) {
      const states = member.listSyncStates();
      const key = states.map((state) => identities.describe(state)).join("\n");
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { states, members: [states] });
      else group.members.push(states);
    }
    const tally = new Tally(this.#store.generations, identities);
    for (const group of groups.values()) tally.addGroup(group);
    return tally.finish();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Something happened that may change the counts. Cheap: it is called for each answer of each proxy. */
  note(): void {
    if (this.#timer !== undefined || this.#listeners.size === 0) return;
    this.#timer = this.#clock.after(noticeDelayMs, () => {
      this.#timer = undefined;
      for (const listener of this.#listeners) listener();
    });
  }

  close(): void {
    this.#timer?.close();
    this.#timer = undefined;
    this.#listeners.clear();
  }
}

/** Proxies that share everything but what is their workload's own. */
interface Group {
  /** Of any of them: what they share. */
  readonly states: readonly SyncState[];
  readonly members: (readonly SyncState[])[];
}

/** Numbers for objects, so that a text can say which they are. */
class Identities {
  readonly #numbers = new WeakMap<object, number>();
  #next = 0;

  /** Equal text: the same shared part, equally far, and, where something is under way, the same difference. */
  describe({ type, target, held, syncedGeneration, refused }: SyncState): string {
    const isUnderWay = refused !== undefined || held.version !== target.version;
    const way = isUnderWay ? [held, target, refused?.set].map((set) => this.of(set)).join(" ") : "";
    return `${type} ${this.of(target.parts[0])} ${syncedGeneration} ${way}`;
  }

  of(object: object | undefined): number {
    if (object === undefined) return -1;
    const known = this.#numbers.get(object);
    if (known !== undefined) return known;
    this.#numbers.set(object, this.#next);
    return this.#next++;
  }
}

type RefsByKey = ReadonlyMap<string, ObjectRef>;

interface Count {
  readonly ref: ObjectRef;
  using: number;
  /** Of those that use it: the ones that do not have its present form. */
  behind: number;
  refused: number;
  refusal: string;
}

interface Lag {
  readonly behind: Map<string, ObjectRef>;
  readonly extra: Map<string, ObjectRef>;
}

/** Objects of what groups share, and how many proxies share it. */
interface Union {
  readonly refs: RefsByKey;
  proxies: number;
}

class Tally {
  readonly #generations: ObjectGenerations;
  readonly #identities: Identities;
  readonly #counts = new Map<string, Count>();
  readonly #unions = new Map<string, Union>();

  constructor(generations: ObjectGenerations, identities: Identities) {
    this.#generations = generations;
    this.#identities = identities;
  }

  /** Notes what is not as usual; that a proxy uses what it shares, and has it, is the rule and added at the end. */
  addGroup({ states, members }: Group): void {
    const union = this.#findUnion(states);
    union.proxies += members.length;
    const { behind, extra } = this.#listBehind(states, union.refs);
    const refused = this.#listRefused(states);
    for (const [key, { ref }] of refused) {
      // A refused response may have been the first with the object.
      if (!union.refs.has(key)) extra.set(key, ref);
      behind.set(key, ref);
    }
    for (const ref of extra.values()) this.#count(ref).using += members.length;
    for (const ref of behind.values()) this.#count(ref).behind += members.length;
    for (const { ref, error } of refused.values()) {
      const count = this.#count(ref);
      count.refused += members.length;
      count.refusal ||= error;
    }
    const isShared = (key: string): boolean => union.refs.has(key) || extra.has(key);
    for (const own of members) this.#addOwn(own, { isShared, behind });
  }

  finish(): ReadonlyMap<string, ObjectDistribution> {
    for (const { refs, proxies } of this.#unions.values()) {
      for (const [key, ref] of refs) this.#count(ref, key).using += proxies;
    }
    const described = new Map<string, ObjectDistribution>();
    for (const [key, { behind, ...count }] of this.#counts)
      described.set(key, { ...count, live: count.using - behind });
    return described;
  }

  /** The parts that are the workload's own: few resources of few objects. */
  #addOwn(
    states: readonly SyncState[],
    shared: { readonly isShared: (key: string) => boolean; readonly behind: RefsByKey },
  ): void {
    const refs = new Map<string, ObjectRef>();
    const behind = new Map<string, ObjectRef>();
    for (const { target, syncedGeneration } of states) {
      for (const part of target.parts.slice(1)) {
        for (const [key, ref] of refsOfPart(part)) {
          refs.set(key, ref);
          if (this.#generations.find(key) > syncedGeneration) behind.set(key, ref);
        }
      }
    }
    for (const [key, ref] of refs) if (!shared.isShared(key)) this.#count(ref).using += 1;
    for (const [key, ref] of behind) if (!shared.behind.has(key)) this.#count(ref).behind += 1;
  }

  #findUnion(states: readonly SyncState[]): Union {
    const parts = states.flatMap(({ target }) => target.parts.slice(0, 1));
    const id = parts.map((part) => this.#identities.of(part)).join(" ");
    let union = this.#unions.get(id);
    if (union === undefined) {
      const refs = new Map<string, ObjectRef>();
      for (const part of parts) for (const [key, ref] of refsOfPart(part)) refs.set(key, ref);
      union = { refs, proxies: 0 };
      this.#unions.set(id, union);
    }
    return union;
  }

  /** Objects of which the proxies do not have the present form; `extra` are those that only what they still hold names. */
  #listBehind(states: readonly SyncState[], shared: RefsByKey): Lag {
    const lag: Lag = { behind: new Map(), extra: new Map() };
    for (const state of states) {
      const [part] = state.target.parts;
      const refs = part === undefined ? noRefs : refsOfPart(part);
      for (const [key] of this.#generations.listAfter(state.syncedGeneration)) {
        const ref = refs.get(key);
        if (ref !== undefined) lag.behind.set(key, ref);
      }
      if (state.held.version !== state.target.version) this.#addUnderWay(lag, state, shared);
    }
    // Own parts come later, and know nothing of what is under way.
    for (const [key, ref] of lag.behind) if (!shared.has(key)) lag.extra.set(key, ref);
    return lag;
  }

  /** Resources that the proxy never had are not live, those that are to go still count as used. */
  #addUnderWay({ behind, extra }: Lag, { held, target, syncedGeneration }: SyncState, shared: RefsByKey): void {
    const { changed, removed } = diffSets(held, target);
    for (const name of changed) {
      if (findInSet(held, name) !== undefined) continue;
      for (const [key, ref] of refsOf(findInSet(target, name))) behind.set(key, ref);
    }
    for (const name of [...changed, ...removed]) {
      for (const [key, ref] of refsOf(findInSet(held, name))) {
        if (!shared.has(key)) extra.set(key, ref);
        if (this.#generations.find(key) > syncedGeneration) behind.set(key, ref);
      }
    }
  }

  /** Objects that a refused response is to blame on: those that changed since the last good one, where there are any. */
  #listRefused(states: readonly SyncState[]): Map<string, { readonly ref: ObjectRef; readonly error: string }> {
    const blamed = new Map<string, { readonly ref: ObjectRef; readonly error: string }>();
    for (const { held, refused, syncedGeneration } of states) {
      if (refused === undefined) continue;
      const { changed } = diffSets(held, refused.set);
      // Envoy's text names the resources that it refused.
      const named = changed.filter((name) => refused.error.includes(name));
      const refs = (named.length > 0 ? named : changed).flatMap((name) => [...refsOf(findInSet(refused.set, name))]);
      const recent = refs.filter(([key]) => this.#generations.find(key) > syncedGeneration);
      for (const [key, ref] of recent.length > 0 ? recent : refs) blamed.set(key, { ref, error: refused.error });
    }
    return blamed;
  }

  #count(ref: ObjectRef, key = objectKey(ref)): Count {
    let count = this.#counts.get(key);
    if (count === undefined) {
      count = { ref, using: 0, behind: 0, refused: 0, refusal: "" };
      this.#counts.set(key, count);
    }
    return count;
  }
}

const noRefs: RefsByKey = new Map();
const knownRefs = new WeakMap<readonly ObjectRef[], RefsByKey>();

/** The followed objects that made a resource. Generators keep the lists of what did not change. */
function refsOf(resource: Versioned | undefined): RefsByKey {
  if (resource === undefined || !isEncoded(resource)) return noRefs;
  const { sources } = resource.built;
  if (sources.length === 0) return noRefs;
  let refs = knownRefs.get(sources);
  if (refs === undefined) {
    refs = new Map(sources.filter(({ kind }) => isFollowed(kind)).map((ref) => [objectKey(ref), ref]));
    knownRefs.set(sources, refs);
  }
  return refs;
}

const knownParts = new WeakMap<ResourcePart, { readonly adoptions: number; readonly refs: RefsByKey }>();

/** The followed objects that made any resource of a part; kept until some resource comes to be made by others. */
function refsOfPart(part: ResourcePart): RefsByKey {
  const adoptions = countAdoptions();
  const known = knownParts.get(part);
  if (known?.adoptions === adoptions) return known.refs;
  const refs = new Map<string, ObjectRef>();
  for (const resource of part.byName.values()) for (const [key, ref] of refsOf(resource)) refs.set(key, ref);
  knownParts.set(part, { adoptions, refs });
  return refs;
}
