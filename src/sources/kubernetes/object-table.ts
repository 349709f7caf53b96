/** The objects of one target, and which of them the mesh does not know yet. */
import { isDeepStrictEqual } from "node:util";
import type { MeshObject } from "../../api/kinds.ts";
import { refOf } from "../../api/object.ts";
import type { Message } from "../../lib/message.ts";
import type { ObjectChange } from "../source.ts";
import { keepObject, type RawIdentity, readIdentity } from "./raw-object.ts";
import { compareResourceVersions, isOlder } from "./resource-version.ts";
import type { WatchTarget } from "./watch-target.ts";

/** What is known of one object. */
interface Entry {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly version: string;
  /** Its last good form; undefined where it never had one. */
  readonly object: MeshObject | undefined;
  readonly messages: readonly Message[];
}

export type WatchEventType = "ADDED" | "MODIFIED" | "DELETED";

export interface EventContext {
  /** Version of the kind that is watched. */
  readonly version: string;
  /** Deletions may come from a kind that is being removed. */
  readonly isDoubted: boolean;
}

/** What the mesh is to be told about one object. */
export interface TakenChange {
  readonly changes: readonly ObjectChange[];
  /** The mesh did not take it: it is told again with the next changes. Only before those are taken. */
  readonly undo: () => void;
}

/** Nothing here throws on account of what an object holds. */
export class ObjectTable {
  readonly #target: WatchTarget;
  readonly #entries = new Map<string, Entry>();
  /** The list that is being read. */
  #staged: Map<string, Entry> | undefined;
  /** Changed objects by name, with what the mesh knows of each. */
  #unpublished = new Map<string, MeshObject | undefined>();
  /** Names of objects whose deletion was told, and is not believed yet; with its resource version. */
  readonly #doubted = new Map<string, string>();
  /** Names of objects about which there is something to say. */
  readonly #spoken = new Set<string>();
  #messages: readonly Message[] | undefined = [];

  constructor(target: WatchTarget) {
    this.#target = target;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What there is to say about the objects, by name; the same array as long as nothing changed. */
  get messages(): readonly Message[] {
    this.#messages ??= [...this.#spoken].sort().flatMap((key) => this.#entries.get(key)?.messages ?? []);
    return this.#messages;
  }

  /** Puts an object of a list that is being read aside. False where it is none of this kind. */
  stage(raw: unknown, version: string): boolean {
    const identity = readIdentity(raw, this.#target);
    if (identity === undefined) return false;
    this.#staged ??= new Map();
    const key = keyOf(identity);
    this.#staged.set(key, this.#makeEntry(raw, identity, version));
    return true;
  }

  /** Takes the list in: what it does not hold is gone. */
  commit(): void {
    const staged = this.#staged ?? new Map<string, Entry>();
    this.#staged = undefined;
    for (const key of this.#entries.keys()) if (!staged.has(key)) this.#remove(key);
    for (const [key, entry] of staged) this.#set(key, entry);
  }

  discard(): void {
    this.#staged = undefined;
  }

  /** Deletions wait for confirmDeletions(). */
  get hasDoubtedDeletions(): boolean {
    return this.#doubted.size > 0;
  }

  confirmDeletions(): void {
    for (const key of this.#doubted.keys()) this.#remove(key);
  }

  /**
   * Takes an event in. False where it is about no object of this kind. A deletion that is doubted keeps the object until
   * it is confirmed, or a list is taken in.
   */
  apply(type: WatchEventType, raw: unknown, { version, isDoubted }: EventContext): boolean {
    const identity = readIdentity(raw, this.#target);
    if (identity === undefined) return false;
    const key = keyOf(identity);
    const known = this.#entries.get(key);
    if (known === undefined && type === "DELETED") return true;
    const order =
      known === undefined ? undefined : compareResourceVersions(identity.resourceVersion, known.resourceVersion);
    const isSameObject = known?.uid === identity.uid;
    // Told too late, or twice. A deletion of this very object is final whenever it is told.
    const isFinal = type === "DELETED" && isSameObject;
    if (order !== undefined && !isFinal && (order < 0 || (order === 0 && isSameObject))) return true;
    const deletedAt = this.#doubted.get(key) ?? "";
    if (type !== "DELETED" && isOlder(identity.resourceVersion, deletedAt)) return true;
    if (type !== "DELETED") this.#set(key, this.#makeEntry(raw, identity, version));
    else if (isDoubted) this.#doubted.set(key, identity.resourceVersion);
    else this.#remove(key);
    return true;
  }

  /** The changes since the last call, object by object: one that was made anew is deleted and set. */
  takeChanges(): readonly TakenChange[] {
    const taken = this.#unpublished;
    this.#unpublished = new Map();
    return [...taken].flatMap(([key, before]) => {
      const changes = this.#describeChange(key, before);
      return changes.length === 0 ? [] : [{ changes, undo: () => void this.#unpublished.set(key, before) }];
    });
  }

  #describeChange(key: string, before: MeshObject | undefined): readonly ObjectChange[] {
    const entry = this.#entries.get(key);
    const after = entry?.object;
    if (before === after) return [];
    if (before !== undefined && entry !== undefined && isDeepStrictEqual(before, after)) {
      // There and back between two looks: for the mesh it is the same object as before.
      this.#entries.set(key, { ...entry, object: before });
      return [];
    }
    const isAnew = before !== undefined && after !== undefined && before.meta.uid !== after.meta.uid;
    const isGone = before !== undefined && (after === undefined || isAnew);
    return [
      ...(isGone ? [{ type: "deleted", ref: refOf(before) } as const] : []),
      ...(after === undefined ? [] : [{ type: "set", object: after } as const]),
    ];
  }

  #makeEntry(raw: unknown, identity: RawIdentity, version: string): Entry {
    const { uid, resourceVersion } = identity;
    const known = this.#entries.get(keyOf(identity));
    const isSameObject = known !== undefined && known.uid === uid;
    if (
      isSameObject &&
      resourceVersion !== "" &&
      known.resourceVersion === resourceVersion &&
      known.version === version
    ) {
      return known;
    }
    const { object, messages } = keepObject(raw, this.#target, version);
    const lastGood = isSameObject ? known.object : undefined;
    const isEqual = lastGood !== undefined && object !== undefined && isDeepStrictEqual(lastGood, object);
    return { uid, resourceVersion, version, object: isEqual ? lastGood : (object ?? lastGood), messages };
  }

  #set(key: string, entry: Entry): void {
    const before = this.#entries.get(key);
    this.#entries.set(key, entry);
    this.#doubted.delete(key);
    if (before?.object !== entry.object) this.#note(key, before?.object);
    if (entry.messages.length > 0) this.#spoken.add(key);
    else if (!this.#spoken.delete(key)) return;
    this.#messages = undefined;
  }

  #remove(key: string): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    this.#doubted.delete(key);
    if (before?.object !== undefined) this.#note(key, before.object);
    if (this.#spoken.delete(key)) this.#messages = undefined;
  }

  #note(key: string, published: MeshObject | undefined): void {
    if (!this.#unpublished.has(key)) this.#unpublished.set(key, published);
  }
}

function keyOf({ namespace, name }: RawIdentity): string {
  return `${namespace}/${name}`;
}
