import { textHash } from "../lib/hash.ts";

/**
 * Names of resources that somebody subscribes to. Equal lists are one object for as long as anybody holds it, so that
 * a thousand proxies with the same subscription share its memory and the answer to it.
 */
export interface NameSet {
  /** Equal for equal sets. */
  readonly id: string;
  readonly names: ReadonlySet<string>;
}

const known = new Map<string, WeakRef<NameSet>>();
const forgotten = new FinalizationRegistry<string>((id) => {
  if (known.get(id)?.deref() === undefined) known.delete(id);
});

/** The set of some names, in any order, repeats ignored. */
export function internNames(names: Iterable<string>): NameSet {
  const sorted = [...new Set(names)].sort();
  // Lengths go in, so that no two lists can read the same.
  const id = `${sorted.length}-${textHash(sorted.map((name) => `${name.length}:${name}`).join(""))}`;
  const existing = known.get(id)?.deref();
  if (existing !== undefined && isSame(existing.names, sorted)) return existing;
  const created: NameSet = { id: existing === undefined ? id : `${id}-${sorted.join(",")}`, names: new Set(sorted) };
  if (existing === undefined) {
    known.set(id, new WeakRef(created));
    forgotten.register(created, id);
  }
  return created;
}

/** The set of the names of a list, which must not change; found at once for a list that was asked for before. */
export function internList(names: readonly string[]): NameSet {
  const found = setOfList(names);
  if (found !== undefined) return found;
  const set = internNames(names);
  if (names.length >= shortestKept) ofLists.set(names, set);
  return set;
}

/** The set that a list was found to be; undefined for one that was never asked for. */
export function setOfList(names: readonly string[]): NameSet | undefined {
  return names.length < shortestKept ? undefined : ofLists.get(names);
}

const ofLists = new WeakMap<readonly string[], NameSet>();
/** Sets of shorter lists are made as fast as they are found. */
const shortestKept = 16;

export const noNames: NameSet = internNames([]);

/** The same set where nothing is added. */
export function addNames(set: NameSet, names: readonly string[]): NameSet {
  if (set === noNames) return internList(names);
  return names.every((name) => set.names.has(name)) ? set : internNames([...set.names, ...names]);
}

/** The same set where nothing is removed. */
export function removeNames(set: NameSet, names: readonly string[]): NameSet {
  if (!names.some((name) => set.names.has(name))) return set;
  const gone = new Set(names);
  return internNames([...set.names].filter((name) => !gone.has(name)));
}

function isSame(names: ReadonlySet<string>, sorted: readonly string[]): boolean {
  return names.size === sorted.length && sorted.every((name) => names.has(name));
}
