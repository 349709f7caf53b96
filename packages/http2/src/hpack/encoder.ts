/** Writes header blocks (RFC 7541). */
import { defaultTableBytes, entryOverhead } from "./decoder.ts";
import { encodeHuffman, huffmanLength } from "./huffman-encoder.ts";
import { staticLength, staticNames, staticValues } from "./static-table.ts";

/** Every integer of a block is below 2^28: a prefix, and four bytes of seven bits. */
const mostIntegerBytes = 5;
/** An entry that takes more of the table than this would put out much for itself. */
const largestShare = 0.5;
/** Shorter cookies could be guessed byte by byte, by how long a block becomes (RFC 7541, section 7.1). */
const shortCookie = 20;

/** What is a secret, as a whole, and is put in no table, here or further on (section 7.1.3). */
const secrets = new Set(["authorization", "proxy-authorization"]);
/** Headers whose values seldom come twice: in the table they would put out those that do. */
const passing = new Set(
  (
    ":path age content-length etag if-modified-since if-none-match location set-cookie date last-modified x-request-id " +
    "traceparent tracestate b3 x-b3-traceid x-b3-spanid x-b3-parentspanid x-envoy-upstream-service-time grpc-timeout"
  ).split(" "),
);

/** Where a name is in the tables, and with which values. */
interface NameEntry {
  /** Index in the static table, or 0. */
  readonly index: number;
  /** By value: index in the static table. */
  readonly values: ReadonlyMap<string, number>;
  readonly kind: "kept" | "passing" | "secret";
}

const known = makeKnown();

export class HpackEncoder {
  /** Name, value, name, value …, the oldest first; those before `#first` are out. */
  #table: string[] = [];
  #first = 0;
  /** How many names and values were ever cut off from the beginning of the array. */
  #cutOff = 0;
  /** For a name, the values that are in the table: where they would be if nothing had ever been cut off. */
  readonly #places = new Map<string, Map<string, number>>();
  #tableBytes = 0;
  #capacity = defaultTableBytes;
  /** The least and the last capacity that the peer has to be told of, in the next block. */
  #leastToTell: number | undefined;

  /** Takes the peer's SETTINGS_HEADER_TABLE_SIZE. More than 4,096 is not used: it would cost memory on both sides. */
  setMaxTableBytes(bytes: number): void {
    const capacity = Math.min(bytes, defaultTableBytes);
    if (capacity === this.#capacity) return;
    this.#leastToTell = Math.min(this.#leastToTell ?? capacity, capacity);
    this.#capacity = capacity;
    this.#evict(0);
  }

  /** No block of these names and values is longer. */
  static bound(raw: readonly string[]): number {
    let bytes = 2 * mostIntegerBytes;
    for (const text of raw) bytes += text.length + mostIntegerBytes;
    return bytes;
  }

  /**
   * Writes the block of name, value, name, value …, a character for each byte, at `offset`, and returns where it ends.
   * Names are in lower case. Blocks have to be sent in the order in which they were made.
   */
  encode(raw: readonly string[], target: Buffer, offset: number): number {
    const at = { target, place: offset };
    if (this.#leastToTell !== undefined) this.#tellCapacity(at, this.#leastToTell);
    for (let index = 0; index < raw.length; index += 2) this.#encodeOne(raw[index] ?? "", raw[index + 1] ?? "", at);
    return at.place;
  }

  #tellCapacity(at: Target, least: number): void {
    this.#leastToTell = undefined;
    if (least < this.#capacity) writeInteger(least, sizeUpdate, at);
    writeInteger(this.#capacity, sizeUpdate, at);
  }

  #encodeOne(name: string, value: string, at: Target): void {
    const entry = known.get(name);
    const places = this.#places.get(name);
    const index = entry?.values.get(value) ?? this.#indexOf(places?.get(value));
    if (index !== undefined) {
      writeInteger(index, indexed, at);
      return;
    }
    const kind = this.#kindOf(entry, name, value);
    const nameIndex = entry !== undefined && entry.index > 0 ? entry.index : this.#anyIndex(places);
    writeInteger(nameIndex, prefixes[kind], at);
    if (nameIndex === 0) writeString(name, at);
    writeString(value, at);
    if (kind === "kept") this.#add(name, value);
  }

  #kindOf(entry: NameEntry | undefined, name: string, value: string): NameEntry["kind"] {
    if (entry !== undefined && entry.kind !== "kept") return entry.kind;
    if (name === "cookie" && value.length < shortCookie) return "secret";
    return name.length + value.length + entryOverhead > this.#capacity * largestShare ? "passing" : "kept";
  }

  #indexOf(place: number | undefined): number | undefined {
    return place === undefined ? undefined : staticLength + (this.#cutOff + this.#table.length - place) / 2;
  }

  /** Of some entry with the name; 0 where there is none. */
  #anyIndex(places: Map<string, number> | undefined): number {
    if (places === undefined) return 0;
    for (const place of places.values()) return this.#indexOf(place) ?? 0;
    return 0;
  }

  #add(name: string, value: string): void {
    const size = name.length + value.length + entryOverhead;
    this.#evict(size);
    if (size > this.#capacity) return;
    const place = this.#cutOff + this.#table.length;
    this.#table.push(name, value);
    this.#tableBytes += size;
    const places = this.#places.get(name);
    if (places === undefined) this.#places.set(name, new Map([[value, place]]));
    else places.set(value, place);
  }

  #evict(room: number): void {
    while (this.#tableBytes + room > this.#capacity && this.#first < this.#table.length) this.#evictOldest();
    if (this.#first * 2 < this.#table.length || this.#first === 0) return;
    this.#cutOff += this.#first;
    this.#table = this.#table.slice(this.#first);
    this.#first = 0;
  }

  #evictOldest(): void {
    const name = this.#table[this.#first] ?? "";
    const value = this.#table[this.#first + 1] ?? "";
    this.#tableBytes -= name.length + value.length + entryOverhead;
    this.#first += 2;
    // An entry is never in the table twice: what is there is sent by its index.
    const places = this.#places.get(name);
    places?.delete(value);
    if (places?.size === 0) this.#places.delete(name);
  }
}

interface Target {
  readonly target: Buffer;
  place: number;
}

/** The bits that say what a field is, and those that are left for an integer (RFC 7541, section 6). */
interface Prefix {
  readonly first: number;
  readonly mask: number;
}

const indexed: Prefix = { first: 0x80, mask: 0x7f };
const sizeUpdate: Prefix = { first: 0x20, mask: 0x1f };
const huffmanString: Prefix = { first: 0x80, mask: 0x7f };
const plainString: Prefix = { first: 0, mask: 0x7f };
const prefixes: Readonly<Record<NameEntry["kind"], Prefix>> = {
  kept: { first: 0x40, mask: 0x3f },
  passing: { first: 0x00, mask: 0x0f },
  secret: { first: 0x10, mask: 0x0f },
};

function writeInteger(value: number, { first, mask }: Prefix, at: Target): void {
  const { target } = at;
  if (value < mask) {
    target[at.place++] = first | value;
    return;
  }
  target[at.place++] = first | mask;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) target[at.place++] = (rest & 0x7f) | 0x80;
  target[at.place++] = rest;
}

function writeString(text: string, at: Target): void {
  const length = huffmanLength(text);
  if (length < text.length) {
    writeInteger(length, huffmanString, at);
    at.place = encodeHuffman(text, at.target, at.place);
    return;
  }
  writeInteger(text.length, plainString, at);
  at.place += at.target.write(text, at.place, "latin1");
}

function makeKnown(): ReadonlyMap<string, NameEntry> {
  const made = new Map<string, NameEntry>();
  for (let index = 1; index <= staticLength; index++) {
    const name = staticNames[index] ?? "";
    const value = staticValues[index] ?? "";
    const entry = made.get(name) ?? { index, values: new Map<string, number>(), kind: kindOf(name) };
    // Those that are in the static table without a value are there for their name.
    if (value !== "") (entry.values as Map<string, number>).set(value, index);
    made.set(name, entry);
  }
  for (const name of [...passing, ...secrets]) {
    if (!made.has(name)) made.set(name, { index: 0, values: new Map(), kind: kindOf(name) });
  }
  return made;
}

function kindOf(name: string): NameEntry["kind"] {
  if (secrets.has(name)) return "secret";
  return passing.has(name) ? "passing" : "kept";
}
