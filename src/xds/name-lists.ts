/**
 * Long lists of names in requests, decoded once. In state of the world every request repeats all names, so that a
 * thousand proxies of one scope that take a new endpoint send the same thousand names a thousand times.
 */
import { decode } from "@meltemi/protos";
import { contentHash } from "../lib/hash.ts";

/** Field `resource_names` of a DiscoveryRequest, and `resource_names_subscribe` of a DeltaDiscoveryRequest. */
const namesField = 3;
const delimited = 2;

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

export class NameLists {
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;

  /** Undefined for a request with few names, or of another form than clients send: it is to be decoded as a whole. */
  split(request: Uint8Array): SplitRequest | undefined {
    if (request.length < shortest) return undefined;
    const span = findNames(request);
    if (span === undefined || span.end - span.start < shortest) return undefined;
    const rest = Buffer.concat([request.subarray(0, span.start), request.subarray(span.end)]);
    return { rest, names: this.#find(request.subarray(span.start, span.end)) };
  }

  #find(bytes: Uint8Array): readonly string[] {
    const hash = contentHash(bytes);
    const known = this.#kept.get(hash);
    if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) {
      this.#kept.delete(hash);
      this.#kept.set(hash, known);
      return known.names;
    }
    const names = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes).resource_names ?? [];
    if (known !== undefined) return names;
    // A copy: the bytes lie in the buffer of a connection.
    this.#kept.set(hash, { bytes: Buffer.from(bytes), names });
    this.#keptBytes += bytes.length;
    this.#forget();
    return names;
  }

  #forget(): void {
    for (const [hash, { bytes }] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) return;
      this.#kept.delete(hash);
      this.#keptBytes -= bytes.length;
    }
  }
}

/** Where the names of a request lie; undefined where they do not lie in one piece. */
function findNames(request: Uint8Array): { readonly start: number; readonly end: number } | undefined {
  let start = -1;
  let end = -1;
  for (let at = 0; at < request.length; ) {
    const next = skipField(request, at);
    if (next === undefined) return undefined;
    if ((request[at] ?? 0) >> 3 === namesField) {
      if (start === -1) start = at;
      else if (at !== end) return undefined;
      end = next;
    }
    at = next;
  }
  return start === -1 ? undefined : { start, end };
}

/** Where the field that begins at `at` ends; undefined for one that requests of today do not have: beyond 15, or no text. */
function skipField(request: Uint8Array, at: number): number | undefined {
  const tag = request[at] ?? 0;
  if (tag >= 0x80 || (tag & 7) !== delimited) return undefined;
  let length = 0;
  let position = at + 1;
  for (let shift = 0; shift <= 28; shift += 7) {
    const byte = request[position] ?? 0;
    position += 1;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte >= 0x80) continue;
    const end = position + length;
    return end <= request.length ? end : undefined;
  }
  return undefined;
}
