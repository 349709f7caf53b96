import { type Marker, type ResponseDigest, readDigest } from "./response-digest.ts";
import type { ShortType, Variant } from "./types.ts";

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

  /** `scope` tells proxies apart that may get different content under one version. */
  formatKey(scope: string, head: Buffer, length: number): string {
    return `${scope} ${length} ${head.toString("latin1", 0, length < keyBytes ? length : headBytes)}`;
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
