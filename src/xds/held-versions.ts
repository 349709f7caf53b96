/**
 * What delta clients bring along from an earlier stream. After a restart a thousand proxies tell a thousand names and
 * versions each, most of them the same: each pair is one object for all, with its hash, and so is each set.
 */
import {
  buildPart,
  buildSet,
  emptySet,
  type ResourcePart,
  type ResourceSet,
  type Versioned,
} from "../push/resource-set.ts";
import { endOfField, fieldNumber, startOfContent } from "./request-fields.ts";

/** Field `initial_resource_versions` of a DeltaDiscoveryRequest: a map, each of whose entries is a message. */
const versionsField = 5;
const keyField = 1;
const valueField = 2;

/** Pairs that are remembered, before all are forgotten. */
const mostPairs = 200_000;
const mostSets = 32;

export interface SplitVersions {
  /** The request without them. */
  readonly rest: Uint8Array;
  readonly held: ResourceSet;
}

export class HeldVersions {
  readonly #pairs = new Map<string, Versioned>();
  /** The last ones. */
  readonly #sets: ResourceSet[] = [];

  /** Undefined for a request of another form than clients send: it is to be decoded as a whole. */
  split(request: Uint8Array): SplitVersions | undefined {
    const bytes = Buffer.from(request.buffer, request.byteOffset, request.byteLength);
    const pairs = new Map<string, Versioned>();
    const others: Uint8Array[] = [];
    let otherAt = 0;
    for (let at = 0; at < bytes.length; ) {
      const end = endOfField(bytes, at);
      if (end === undefined) return undefined;
      if (fieldNumber(bytes, at) === versionsField) {
        const pair = this.#readPair(bytes, startOfContent(bytes, at) ?? end, end);
        if (pair === undefined) return undefined;
        pairs.set(pair.name, pair);
        if (otherAt < at) others.push(bytes.subarray(otherAt, at));
        otherAt = end;
      }
      at = end;
    }
    if (pairs.size === 0) return { rest: request, held: emptySet() };
    if (otherAt < bytes.length) others.push(bytes.subarray(otherAt));
    return { rest: Buffer.concat(others), held: this.#intern(pairs.values()) };
  }

  /** The same of a map that was decoded. */
  take(versions: Readonly<Record<string, string>>): ResourceSet {
    const pairs = Object.entries(versions).map(([name, version]) => this.#internPair(name, version));
    return pairs.length === 0 ? emptySet() : this.#intern(pairs);
  }

  #readPair(bytes: Buffer, start: number, end: number): Versioned | undefined {
    let name = "";
    let version = "";
    for (let at = start; at < end; ) {
      const next = endOfField(bytes, at);
      if (next === undefined || next > end) return undefined;
      const text = bytes.toString("utf8", startOfContent(bytes, at), next);
      if (fieldNumber(bytes, at) === keyField) name = text;
      else if (fieldNumber(bytes, at) === valueField) version = text;
      at = next;
    }
    return this.#internPair(name, version);
  }

  /** The last version of a name is what nearly everybody has. */
  #internPair(name: string, version: string): Versioned {
    const known = this.#pairs.get(name);
    if (known?.version === version) return known;
    const made = { name, version };
    if (this.#pairs.size >= mostPairs) this.#pairs.clear();
    this.#pairs.set(name, made);
    return made;
  }

  #intern(pairs: Iterable<Versioned>): ResourceSet {
    const part = buildPart(pairs);
    const made = buildSet([part]);
    // Compared as a whole: a sum of hashes could be met on purpose, and others would be taken to have what they have not.
    const known = this.#sets.find(({ version, parts }) => version === made.version && isSamePart(parts[0], part));
    if (known !== undefined) return known;
    this.#sets.unshift(made);
    this.#sets.length = Math.min(this.#sets.length, mostSets);
    return made;
  }
}

function isSamePart(known: ResourcePart | undefined, { byName }: ResourcePart): boolean {
  if (known?.byName.size !== byName.size) return false;
  for (const [name, { version }] of byName) if (known.byName.get(name)?.version !== version) return false;
  return true;
}
