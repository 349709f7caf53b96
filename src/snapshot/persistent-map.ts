/**
 * Maps that never change once published. A change copies one bucket of many, so that an event costs the same in a mesh
 * of fifty services and of fifty thousand, and an older snapshot goes on seeing what it saw.
 */

/** Entries by text key. Equal content that came from no change at all is the same object. */
export interface PersistentMap<Value> {
  readonly size: number;
  get(key: string): Value | undefined;
  /** In no particular order. */
  values(): Iterable<Value>;
  /** In no particular order. */
  entries(): Iterable<readonly [string, Value]>;
}

/** Changes to a persistent map that are not published yet. */
export interface MapDraft<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): void;
  /** The map with all changes; the map of before where nothing differs. The draft must not be used afterwards. */
  finish(): PersistentMap<Value>;
}

type Bucket<Value> = ReadonlyMap<string, Value>;

// With 50,000 entries a bucket holds about 50, so that one event copies some hundred pointers.
const bucketCount = 1024;
const emptyBucket: Bucket<never> = new Map<string, never>();

class BucketMap<Value> implements PersistentMap<Value> {
  readonly size: number;
  readonly buckets: readonly Bucket<Value>[];

  constructor(buckets: readonly Bucket<Value>[], size: number) {
    this.buckets = buckets;
    this.size = size;
  }

  get(key: string): Value | undefined {
    return this.buckets[bucketOf(key)]?.get(key);
  }

  *values(): Iterable<Value> {
    for (const bucket of this.buckets) yield* bucket.values();
  }

  *entries(): Iterable<readonly [string, Value]> {
    for (const bucket of this.buckets) yield* bucket.entries();
  }
}

/** A map without entries. */
export function createPersistentMap<Value>(): PersistentMap<Value> {
  return new BucketMap<Value>(new Array<Bucket<Value>>(bucketCount).fill(emptyBucket), 0);
}

/** Starts a change of a map that createPersistentMap or a draft made. */
export function draftMap<Value>(before: PersistentMap<Value>): MapDraft<Value> {
  if (!(before instanceof BucketMap)) throw new TypeError("a draft needs a map of createPersistentMap");
  return new BucketDraft<Value>(before);
}

class BucketDraft<Value> implements MapDraft<Value> {
  readonly #before: BucketMap<Value>;
  #buckets: Bucket<Value>[] | undefined;
  readonly #own = new Map<number, Map<string, Value>>();
  #size: number;

  constructor(before: BucketMap<Value>) {
    this.#before = before;
    this.#size = before.size;
  }

  get(key: string): Value | undefined {
    return (this.#buckets ?? this.#before.buckets)[bucketOf(key)]?.get(key);
  }

  set(key: string, value: Value): void {
    const index = bucketOf(key);
    const bucket = (this.#buckets ?? this.#before.buckets)[index];
    const known = bucket?.has(key) ?? false;
    if (known && bucket?.get(key) === value) return;
    this.#edit(index).set(key, value);
    if (!known) this.#size += 1;
  }

  delete(key: string): void {
    const index = bucketOf(key);
    if (!(this.#buckets ?? this.#before.buckets)[index]?.has(key)) return;
    this.#edit(index).delete(key);
    this.#size -= 1;
  }

  finish(): PersistentMap<Value> {
    return this.#buckets === undefined ? this.#before : new BucketMap(this.#buckets, this.#size);
  }

  #edit(index: number): Map<string, Value> {
    const own = this.#own.get(index);
    if (own !== undefined) return own;
    this.#buckets ??= [...this.#before.buckets];
    const copy = new Map(this.#buckets[index]);
    this.#buckets[index] = copy;
    this.#own.set(index, copy);
    return copy;
  }
}

// FNV-1a over UTF-16 units: spreads names that differ in their last characters, and needs no bytes.
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash ^ (hash >>> 15)) & (bucketCount - 1);
}
