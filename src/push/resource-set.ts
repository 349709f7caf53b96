/**
 * What a stream has, or is to have, of one type. Sets are immutable and compared by identity first, by content second.
 * Operations are memoized by identity, so that a thousand streams of a scope pay for one of them.
 */
import { textHash } from "../lib/hash.ts";
import { memoPair, PairTable } from "./pair-table.ts";

/** A resource as far as sets and the protocol look at it. */
export interface Versioned {
  readonly name: string;
  readonly version: string;
}

/** Resources that are made together, such as those of a scope or those of a workload. Names are unique. */
export interface ResourcePart<Resource extends Versioned = Versioned> {
  /** Sum over hashes of name and version: the order does not count, and sums of parts add up. */
  readonly sum: bigint;
  readonly byName: ReadonlyMap<string, Resource>;
}

export interface ResourceSet<Resource extends Versioned = Versioned> {
  /** Content hash over names and versions, whatever their order: equal text, equal content, on every replica. */
  readonly version: string;
  readonly parts: readonly ResourcePart<Resource>[];
}

/** What leads from one set to another. */
export interface SetDifference {
  /** Names that are new or have another version, in the order of the new set. */
  readonly changed: readonly string[];
  /** Names that are no longer there, in the order of the old set. */
  readonly removed: readonly string[];
}

/** Makes a part; of two resources with one name the first counts. */
export function buildPart<Resource extends Versioned>(resources: Iterable<Resource>): ResourcePart<Resource> {
  const byName = new Map<string, Resource>();
  for (const resource of resources) if (!byName.has(resource.name)) byName.set(resource.name, resource);
  let sum = 0n;
  for (const resource of byName.values()) sum += hashEntry(resource);
  return { byName, sum };
}

/** A set of parts; where two parts have one name, the earlier part counts. */
export function buildSet<Resource extends Versioned>(parts: readonly ResourcePart<Resource>[]): ResourceSet<Resource> {
  const sum = parts.reduce((total, part) => total + part.sum, 0n);
  return { parts, version: BigInt.asUintN(64, sum).toString(16).padStart(16, "0") };
}

const nothing: ResourceSet<never> = buildSet([buildPart<never>([])]);

/** The set without resources. */
export function emptySet<Resource extends Versioned>(): ResourceSet<Resource> {
  return nothing;
}

export function findInSet<Resource extends Versioned>(set: ResourceSet<Resource>, name: string): Resource | undefined {
  for (const part of set.parts) {
    const found = part.byName.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All resources, each name once, in the order of the parts. */
export function* listSet<Resource extends Versioned>(set: ResourceSet<Resource>): Generator<Resource> {
  for (const [index, part] of set.parts.entries()) {
    for (const [name, resource] of part.byName) {
      if (index === 0 || !set.parts.slice(0, index).some(({ byName }) => byName.has(name))) yield resource;
    }
  }
}

/**
 * A set of one part with some of its resources replaced by others of the same names; the same set where none differs. It
 * costs what is replaced, and a copy of the table: sets have thousands of resources, of which one changes at a time.
 */
export function replaceInSet<Resource extends Versioned>(
  set: ResourceSet<Resource>,
  resources: readonly Resource[],
): ResourceSet<Resource> {
  const [part, ...others] = set.parts;
  if (part === undefined || others.length > 0) throw new Error("a set of one part is expected");
  const byName = new Map(part.byName);
  let { sum } = part;
  const changed = resources.filter((resource) => {
    const last = byName.get(resource.name);
    if (last === undefined) throw new Error(`${resource.name} is not in the set`);
    byName.set(resource.name, resource);
    sum += hashEntry(resource) - hashEntry(last);
    return resource.version !== last.version;
  });
  if (changed.length === 0) return set;
  const after = buildSet([{ sum, byName }]);
  // With several their order would have to be looked up, and nothing be won.
  if (changed.length === 1) differences.set(set, after, { changed: changed.map(({ name }) => name), removed: [] });
  return after;
}

const differences = new PairTable<ResourceSet, ResourceSet, SetDifference>();

/** What changed from `before` to `after`. */
export const diffSets = memoPair((before: ResourceSet, after: ResourceSet): SetDifference => {
  if (before.version === after.version) return { changed: [], removed: [] };
  const changed: string[] = [];
  for (const [index, part] of after.parts.entries()) {
    const earlier = before.parts[index];
    // Parts of a scope stay the same object while another part changes: nothing in them can differ.
    if (earlier === part) continue;
    for (const [name, { version }] of part.byName) {
      const held = earlier?.byName.get(name) ?? findInSet(before, name);
      if (held?.version !== version && findInSet(after, name)?.version === version) changed.push(name);
    }
  }
  const removed: string[] = [];
  for (const [index, part] of before.parts.entries()) {
    const later = after.parts[index];
    if (later === part) continue;
    for (const name of part.byName.keys()) {
      if (later?.byName.has(name) !== true && findInSet(after, name) === undefined) removed.push(name);
    }
  }
  return { changed, removed };
}, differences);

/** `after` with what only `before` has: nothing is taken away yet. */
export const mergeSets = memoPair(
  <Resource extends Versioned>(before: ResourceSet<Resource>, after: ResourceSet<Resource>): ResourceSet<Resource> => {
    const { removed } = diffSets(before, after);
    if (removed.length === 0) return after;
    const kept = removed.flatMap((name) => findInSet(before, name) ?? []);
    return buildSet([...after.parts, buildPart(kept)]);
  },
) as <Resource extends Versioned>(before: ResourceSet<Resource>, after: ResourceSet<Resource>) => ResourceSet<Resource>;

/** The part of a set that `isWanted` names; the same set where that is all of it. */
export function restrictSet<Resource extends Versioned>(
  set: ResourceSet<Resource>,
  isWanted: (name: string) => boolean,
): ResourceSet<Resource> {
  const kept: Resource[] = [];
  let isWhole = true;
  for (const resource of listSet(set)) {
    if (isWanted(resource.name)) kept.push(resource);
    else isWhole = false;
  }
  return isWhole ? set : buildSet([buildPart(kept)]);
}

const entryHashes = new WeakMap<Versioned, bigint>();

function hashEntry(resource: Versioned): bigint {
  const known = entryHashes.get(resource);
  if (known !== undefined) return known;
  const hash = BigInt(`0x${textHash(`${resource.name}\n${resource.version}`)}`);
  entryHashes.set(resource, hash);
  return hash;
}
