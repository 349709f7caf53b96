import type { DigestCache } from "./digest-cache.ts";
import type { ResponseDigest } from "./response-digest.ts";
import type { ShortType } from "./types.ts";

/** Bytes that have to come in a response of a kind; latin1, so that they survive JSON. */
export interface Condition {
  readonly type: ShortType;
  readonly marker: string;
}

/** Waits until some proxies have got all of some markers, and knows when each had. */
export class Expectation {
  readonly #cache: DigestCache;
  /** Bits by marker's id. */
  readonly #bits: ReadonlyMap<number, number>;
  /** Bits that a proxy has still to get, by its index. */
  readonly #missing: Map<number, number>;
  readonly #arrivals: number[] = [];
  readonly #done = Promise.withResolvers<readonly number[]>();

  /** `proxies` are indexes. */
  constructor(cache: DigestCache, conditions: readonly Condition[], proxies: readonly number[]) {
    this.#cache = cache;
    this.#bits = new Map(
      conditions.map(({ type, marker }, index) => [cache.addMarker(type, Buffer.from(marker, "latin1")), 1 << index]),
    );
    const all = (1 << conditions.length) - 1;
    this.#missing = new Map(proxies.map((index) => [index, all]));
  }

  /** Milliseconds of the clock at which each proxy had everything. */
  get arrivals(): Promise<readonly number[]> {
    return this.#done.promise;
  }

  get missing(): number {
    return this.#missing.size;
  }

  note(proxy: number, { markers }: ResponseDigest, atMs: number): void {
    const before = this.#missing.get(proxy);
    if (before === undefined) return;
    let left = before;
    for (const marker of markers) left &= ~(this.#bits.get(marker) ?? 0);
    if (left !== 0) {
      this.#missing.set(proxy, left);
      return;
    }
    this.#missing.delete(proxy);
    this.#arrivals.push(atMs);
    if (this.#missing.size === 0) this.#done.resolve(this.#arrivals);
  }

  close(): void {
    for (const id of this.#bits.keys()) this.#cache.removeMarker(id);
  }
}
