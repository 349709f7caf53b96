/** Reads header blocks (RFC 7541). */
import { HpackError } from "./hpack-error.ts";
import { decodeHuffman } from "./huffman-decoder.ts";
import { staticLength, staticNames, staticValues } from "./static-table.ts";

/** What an entry of the table takes besides its name and value (section 4.1). */
export const entryOverhead = 32;
/** Of the table of either side until SETTINGS say otherwise (RFC 9113, section 6.5.2). */
export const defaultTableBytes = 4_096;
/** An integer above this is no length or index of anything that could be meant. */
const largestInteger = 2 ** 28;
/** A block may begin with the least size of the table that was in between, and the last one (section 4.2). */
const mostSizeUpdates = 2;
/** How many names and values that are out may stay before the array is made anew. */
const mostEvicted = 256;

const empty: Buffer = Buffer.alloc(0);

/** One header block, read. */
export interface DecodedBlock {
  /** Name, value, name, value …, a character for each byte, in the order of the wire; nothing of it is checked. */
  readonly raw: string[];
  /** As SETTINGS_MAX_HEADER_LIST_SIZE counts: names and values, and 32 for each. */
  readonly bytes: number;
  /** There was more than was asked for: the rest is not in `raw`. The table is right nevertheless. */
  readonly isTooLarge: boolean;
}

export class HpackDecoder {
  /** Name, value, name, value …, the newest last; those before `#first` are out. */
  #table: string[] = [];
  #first = 0;
  #tableBytes = 0;
  /** What the peer has said that it keeps to. */
  #capacity = defaultTableBytes;
  /** What it may say. */
  #mostCapacity: number;
  readonly #setting: number;
  #isUpdateDue = false;
  #bytes: Buffer = empty;
  #place = 0;

  /** `maxTableBytes` is this side's SETTINGS_HEADER_TABLE_SIZE. */
  constructor(maxTableBytes: number) {
    this.#setting = maxTableBytes;
    this.#mostCapacity = Math.max(maxTableBytes, defaultTableBytes);
  }

  /** The peer has taken this side's SETTINGS: from here on its table may not be larger, and it has to say so (section 4.2). */
  onSettingsTaken(): void {
    this.#mostCapacity = this.#setting;
    this.#isUpdateDue = this.#capacity > this.#setting;
  }

  /** Reads a whole block: that of a HEADERS frame and all of its CONTINUATIONs. Throws HpackError. */
  decode(block: Buffer, maxBytes: number): DecodedBlock {
    this.#bytes = block;
    this.#place = 0;
    this.#updateSize();
    const raw: string[] = [];
    let bytes = 0;
    let name = "";
    let value = "";
    while (this.#place < block.length) {
      const byte = block[this.#place] ?? 0;
      if (byte >= 0x80) {
        const index = this.#readInteger(0x7f);
        name = this.#nameAt(index);
        value = this.#valueAt(index);
      } else {
        if ((byte & 0xe0) === 0x20) throw new HpackError("the size of the table changes within a block");
        const isKept = byte >= 0x40;
        const index = this.#readInteger(isKept ? 0x3f : 0x0f);
        name = index === 0 ? this.#readString() : this.#nameAt(index);
        value = this.#readString();
        if (isKept) this.#add(name, value);
      }
      bytes += name.length + value.length + entryOverhead;
      if (bytes <= maxBytes) raw.push(name, value);
    }
    // Not to hold the bytes until the next block.
    this.#bytes = empty;
    return { raw, bytes, isTooLarge: bytes > maxBytes };
  }

  #updateSize(): void {
    for (let updates = 0; ((this.#bytes[this.#place] ?? 0) & 0xe0) === 0x20; updates++) {
      if (updates === mostSizeUpdates) throw new HpackError("the size of the table changes too often");
      const capacity = this.#readInteger(0x1f);
      if (capacity > this.#mostCapacity) throw new HpackError("the table is larger than was allowed");
      this.#capacity = capacity;
      this.#isUpdateDue = false;
      this.#evict(0);
    }
    if (this.#isUpdateDue) throw new HpackError("the size of the table was not changed to what was allowed");
  }

  #nameAt(index: number): string {
    return index <= staticLength && index > 0 ? (staticNames[index] ?? "") : (this.#table[this.#placeOf(index)] ?? "");
  }

  #valueAt(index: number): string {
    return index <= staticLength ? (staticValues[index] ?? "") : (this.#table[this.#placeOf(index) + 1] ?? "");
  }

  #placeOf(index: number): number {
    const place = this.#table.length - 2 * (index - staticLength);
    if (index === 0 || place < this.#first) throw new HpackError("an index of no entry");
    return place;
  }

  #add(name: string, value: string): void {
    const size = name.length + value.length + entryOverhead;
    this.#evict(size);
    // What is larger than the table empties it, and that is no error (section 4.4).
    if (size > this.#capacity) return;
    this.#table.push(name, value);
    this.#tableBytes += size;
  }

  /** Takes the oldest out, until there is room. */
  #evict(room: number): void {
    const table = this.#table;
    while (this.#tableBytes + room > this.#capacity && this.#first < table.length) {
      const length = (table[this.#first]?.length ?? 0) + (table[this.#first + 1]?.length ?? 0);
      this.#tableBytes -= length + entryOverhead;
      // Not to be held for longer than the peer may count on.
      table[this.#first] = "";
      table[this.#first + 1] = "";
      this.#first += 2;
    }
    if (this.#first < mostEvicted) return;
    this.#table = table.slice(this.#first);
    this.#first = 0;
  }

  /** An integer whose first bits fill `mask` of the byte (section 5.1). */
  #readInteger(mask: number): number {
    let value = (this.#bytes[this.#place++] ?? 0) & mask;
    if (value < mask) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#place++];
      if (byte === undefined) throw new HpackError("a block ends in an integer");
      value += (byte & 0x7f) * factor;
      if (value > largestInteger || factor > largestInteger) throw new HpackError("an integer is too large");
      if (byte < 0x80) return value;
    }
  }

  #readString(): string {
    const isHuffman = ((this.#bytes[this.#place] ?? 0) & 0x80) !== 0;
    if (this.#place >= this.#bytes.length) throw new HpackError("a block ends before a string");
    const length = this.#readInteger(0x7f);
    const start = this.#place;
    const end = start + length;
    if (end > this.#bytes.length) throw new HpackError("a block ends in a string");
    this.#place = end;
    if (length === 0) return "";
    return isHuffman ? decodeHuffman(this.#bytes, start, end) : this.#bytes.toString("latin1", start, end);
  }
}
