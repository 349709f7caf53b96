/** Finds the end of a request's head in the bytes of a connection, however they are cut, in time that is linear in them. */
import { freeBytes } from "@meltemi/http2/free-bytes";
import { joinBuffers } from "../../lib/join-buffers.ts";

export type Scanned =
  | { readonly kind: "more" }
  | { readonly kind: "bad"; readonly isTooLarge: boolean }
  /** `text` is the head with the line end of its last line; `end` the place after the empty line in the chunk. */
  | { readonly kind: "found"; readonly text: string; readonly end: number };

const more: Scanned = { kind: "more" };
const tooLarge: Scanned = { kind: "bad", isTooLarge: true };
const bad: Scanned = { kind: "bad", isTooLarge: false };
const headEnd = Buffer.from("\r\n\r\n");
const maxEmptyLines = 8;

export class HeadScanner {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #length = 0;
  #last = 0;
  #isLineEmpty = true;
  #emptyLines = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True where a part of a head has come. */
  get hasBegun(): boolean {
    return this.#length > 0;
  }

  feed(chunk: Buffer): Scanned {
    const start = this.#length === 0 ? this.#skipEmptyLines(chunk) : 0;
    if (start < 0) return bad;
    if (this.#length === 0) {
      const end = chunk.indexOf(headEnd, start);
      if (end >= 0) {
        if (end - start > this.#maxBytes) return tooLarge;
        this.#emptyLines = 0;
        return { kind: "found", text: chunk.toString("latin1", start, end + 2), end: end + 4 };
      }
    }
    return this.#feedSlowly(chunk, start);
  }

  /** Gives the memory of what was refused back. */
  discard(): void {
    for (const part of this.#parts) freeBytes(part);
    this.#parts = [];
    this.#length = 0;
  }

  /** Empty lines before a request are passed over, some of them (RFC 9112, section 2.2). -1: too many, or no line. */
  #skipEmptyLines(chunk: Buffer): number {
    let from = 0;
    while (from < chunk.length && (chunk[from] === 13 || chunk[from] === 10)) {
      if (chunk[from] === 10) {
        if (this.#last !== 13) return -1;
        this.#emptyLines += 1;
      } else if (this.#last === 13) return -1;
      this.#last = chunk[from] ?? 0;
      from += 1;
    }
    if (from < chunk.length) {
      if (this.#last === 13) return -1;
      this.#last = 0;
    }
    return this.#emptyLines > maxEmptyLines ? -1 : from;
  }

  /** From one control character to the next, so that what can be no head is refused before it ends, and nothing is looked at twice. */
  #feedSlowly(chunk: Buffer, start: number): Scanned {
    if (this.#length === 0) {
      this.#isLineEmpty = false;
      if (!isBeginning(chunk, start)) return bad;
    }
    const end = this.#findEnd(chunk.toString("latin1", start));
    if (end === "bad") return bad;
    if (end !== undefined) return this.#found(chunk, start, start + end);
    if (start < chunk.length) {
      this.#parts.push(start === 0 ? chunk : chunk.subarray(start));
      this.#length += chunk.length - start;
    }
    return this.#length > this.#maxBytes ? tooLarge : more;
  }

  /** The place after the empty line that ends a head; undefined where it does not end in `text`. */
  #findEnd(text: string): number | "bad" | undefined {
    for (let index = 0; index < text.length; index += 1) {
      const place = findControl(text, index);
      if (place > index) {
        if (this.#last === 13) return "bad";
        this.#isLineEmpty = false;
        this.#last = 0;
      }
      if (place === text.length) return undefined;
      const byte = text.charCodeAt(place);
      // CR and LF come together, and no other control character comes at all.
      if ((byte === 10) !== (this.#last === 13) || (byte !== 10 && byte !== 13)) return "bad";
      if (byte === 10 && this.#isLineEmpty) return place + 1;
      if (byte === 10) this.#isLineEmpty = true;
      this.#last = byte;
      index = place;
    }
    return undefined;
  }

  #found(chunk: Buffer, start: number, end: number): Scanned {
    this.#parts.push(chunk.subarray(start, end));
    const bytes = joinBuffers(this.#parts);
    this.#parts = [];
    this.#length = 0;
    this.#last = 0;
    this.#emptyLines = 0;
    if (bytes.length > this.#maxBytes) return tooLarge;
    return { kind: "found", text: bytes.toString("latin1", 0, bytes.length - 2), end };
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const controls = /[\0-\x08\x0a-\x1f\x7f]/g;

/** The place of the first control character but a tab, from `index` on; the text's length where there is none. */
function findControl(text: string, index: number): number {
  controls.lastIndex = index;
  return controls.test(text) ? controls.lastIndex - 1 : text.length;
}

/** A request begins with a letter, that of its method: other protocols are refused by their first byte. */
function isBeginning(chunk: Buffer, start: number): boolean {
  const byte = chunk[start];
  return byte === undefined || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
}
