/**
 * Long lists of names in requests, decoded once. In state of the world every request repeats all names, so that a
 * thousand proxies of one scope that take a new endpoint send the same thousand names a thousand times.
 */
import { decode } from "@meltemi/protos";
import { contentHash } from "../lib/hash.ts";
import { endOfField, fieldNumber } from "./request-fields.ts";

/** Field `resource_names` of a DiscoveryRequest, and `resource_names_subscribe` of a DeltaDiscoveryRequest. */
const namesField = 3;

/** Below this many bytes decoding costs less than looking up. */
const shortest = 1024;
/** Bytes of lists that are kept; those that were used last. */
const maxKeptBytes = 32 * 1024 * 1024;

export interface SplitRequest {
  /** The request without its names. */
  readonly rest: Uint8Array;
  /** The same array for equal lists. */
  readonly names: readonly string[];
}

interface Kept {
  readonly bytes: Uint8Array;
  readonly names: readonly string[];
}

/** How many of the lists that were used last are looked for first: the types of a scope, of a few scopes. */
const mostRecent = 8;

export class NameLists {
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  /** The one that was used last comes first. */
  readonly #recent: Kept[] = [];

  /** Undefined for a request with few names, or of another form than clients send: it is to be decoded as a whole. */
  split(request: Uint8Array): SplitRequest | undefined {
    if (request.length < shortest) return undefined;
    const span = findNames(request, this.#recent);
    if (span === undefined || span.end - span.start < shortest) return undefined;
    const { start, end } = span;
    const rest = Buffer.concat([request.subarray(0, start), request.subarray(end)]);
    const kept = span.kept ?? this.#find(request.subarray(start, end));
    this.#noteUse(kept);
    return { rest, names: kept.names };
  }

  #find(bytes: Uint8Array): Kept {
    const hash = contentHash(bytes);
    const known = this.#kept.get(hash);
    if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) {
      this.#kept.delete(hash);
      this.#kept.set(hash, known);
      return known;
    }
    const names = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes).resource_names ?? [];
    // A copy: the bytes lie in the buffer of a connection.
    const made = { bytes: Buffer.from(bytes), names };
    if (known !== undefined) return made;
    this.#kept.set(hash, made);
    this.#keptBytes += bytes.length;
    this.#forget();
    return made;
  }

  #noteUse(kept: Kept): void {
    const place = this.#recent.indexOf(kept);
    if (place === 0) return;
    if (place > 0) this.#recent.splice(place, 1);
    this.#recent.unshift(kept);
    this.#recent.length = Math.min(this.#recent.length, mostRecent);
  }

  #forget(): void {
    for (const [hash, { bytes }] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) return;
      this.#kept.delete(hash);
      this.#keptBytes -= bytes.length;
    }
  }
}

interface NamesSpan {
  readonly start: number;
  readonly end: number;
  /** The list, where it is one of those that were used last. */
  readonly kept: Kept | undefined;
}

/** Where the names of a request lie; undefined where they do not lie in one piece. */
function findNames(request: Uint8Array, recent: readonly Kept[]): NamesSpan | undefined {
  let start = -1;
  let end = -1;
  let kept: Kept | undefined;
  for (let at = 0; at < request.length; ) {
    const next = endOfField(request, at);
    if (next === undefined) return undefined;
    const isName = fieldNumber(request, at) === namesField;
    if (isName && start === -1) {
      start = at;
      // A list that is known need not be walked through.
      kept = recent.find(({ bytes }) => holds(request, start, bytes));
      end = kept === undefined ? next : start + kept.bytes.length;
      at = end;
      continue;
    }
    if (isName) {
      if (at !== end) return undefined;
      kept = undefined;
      end = next;
    }
    at = next;
  }
  return start === -1 ? undefined : { start, end, kept };
}

function holds(request: Uint8Array, start: number, bytes: Uint8Array): boolean {
  const end = start + bytes.length;
  // The last byte tells most lists of one beginning apart without a walk through all of it.
  if (end > request.length || request[end - 1] !== bytes[bytes.length - 1]) return false;
  return Buffer.compare(request.subarray(start, end), bytes) === 0;
}
