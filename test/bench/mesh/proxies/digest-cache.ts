import { type Marker, type ResponseDigest, readDigest } from "./response-digest.ts";
import type { ShortType, Variant } from "./types.ts";
import { readVarint } from "./wire-fields.ts";

/** Shorter messages are known by all of their bytes, longer ones by their beginning and their length. */
export const keyBytes = 4096;

/** Begins that longer messages are known by; they hold the version, which stands for the content. */
export const headBytes = 256;

/** More than the different responses that are under way at a time. */
const mostDigests = 2000;

/** Digests of responses that some proxy has got, for the others that get the same, and the markers looked for in them. */
export class DigestCache {
  readonly #variant: Variant;
  readonly #digests = new Map<string, ResponseDigest>();
  readonly #markers = new Map<number, Marker>();
  #nextMarker = 1;

  constructor(variant: Variant) {
    this.#variant = variant;
  }

  /**
   * `head` is the whole message or the beginning of a longer one; its nonce does not count. `scope` tells proxies apart
   * that may get different content under one version.
   */
  formatKey(scope: string, head: Buffer, length: number): string {
    const nonce = findNonce(head);
    const [from, to] = nonce === undefined ? [head.length, head.length] : [nonce.start, nonce.end];
    return `${scope} ${length} ${head.toString("latin1", 0, from)}${head.toString("latin1", to)}`;
  }

  find(key: string): ResponseDigest | undefined {
    return this.#digests.get(key);
  }

  /** The digest of a whole message; undefined for a kind that nobody asked for. */
  read(key: string, message: Buffer): ResponseDigest | undefined {
    const known = this.#digests.get(key);
    if (known !== undefined) return known;
    const digest = readDigest(message, this.#variant, this.#markers.values());
    if (digest === undefined) return undefined;
    this.#digests.set(key, digest);
    const [oldest] = this.#digests.keys();
    if (this.#digests.size > mostDigests && oldest !== undefined) this.#digests.delete(oldest);
    return digest;
  }

  /** Looks for bytes from now on, in responses that nobody has got yet; gives the marker's id. */
  addMarker(type: ShortType, bytes: Buffer): number {
    const id = this.#nextMarker++;
    this.#markers.set(id, { id, type, bytes });
    return id;
  }

  removeMarker(id: number): void {
    this.#markers.delete(id);
  }
}

const nonceTag = 5 * 8 + 2;
const lengthDelimited = 2;

/** Where the nonce lies in the beginning of a message; undefined where it comes later. */
function findNonce(head: Buffer): { readonly start: number; readonly end: number } | undefined {
  let at = 0;
  // Tags of a response's fields and lengths of its short ones take few bytes; what does not fit comes later.
  while (at + 12 < head.length) {
    const tag = head[at] ?? 0;
    const length = readVarint(head, at + 1);
    const end = tag % 8 === lengthDelimited ? length.end + length.value : length.end;
    if (tag === nonceTag) return end <= head.length ? { start: length.end, end } : undefined;
    at = end;
  }
  return undefined;
}
