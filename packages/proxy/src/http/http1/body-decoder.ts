/**
 * Finds the end of a request's body in the bytes of a connection: by its length, by chunks, or never (after an upgrade).
 * Chunks are read strictly: no white space around sizes, CRLF alone ends lines, extensions are bounded and dropped.
 */
import { HeaderList } from "../header-list.ts";
import type { NameTable } from "./name-table.ts";

export interface BodyTarget {
  onBody(chunk: Uint8Array): void;
  onBodyEnd(trailers: HeaderList | undefined): void;
}

export type Framing = { readonly kind: "length"; readonly length: number } | { readonly kind: "chunked" | "raw" };

const maxSizeLine = 4_096;
const maxTrailerBytes = 16_384;
const maxTrailers = 100;
const sizeLine = /^([0-9A-Fa-f]{1,13})(?:[\t ]*;[\t\x20-\x7e\x80-\xff]*)?$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const forbidden = /[\0-\x08\x0a-\x1f\x7f]/;
/** Fields that a trailer must not set, as they frame or route the message (RFC 9110, section 6.5.1). */
const neverTrailers = new Set(["content-length", "transfer-encoding", "host", "connection", "trailer", "te"]);

type State = "size" | "data" | "data-end" | "trailers" | "raw" | "done";

export class BodyDecoder {
  #state: State;
  #left = 0;
  /** A line that came in part. */
  #line = "";
  #trailers: string[] | undefined;
  #trailerBytes = 0;
  readonly #names: NameTable;
  readonly #isChunked: boolean;

  constructor(framing: Framing, names: NameTable) {
    this.#names = names;
    if (framing.kind === "length") {
      this.#left = framing.length;
      this.#state = "data";
      this.#isChunked = false;
    } else {
      this.#state = framing.kind === "raw" ? "raw" : "size";
      this.#isChunked = framing.kind === "chunked";
    }
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Gives what is the body's to `target`; the place after it in `bytes`, or -1 where they are no chunks. */
  feed(bytes: Buffer, start: number, target: BodyTarget): number {
    let from = start;
    while (from < bytes.length && this.#state !== "done") {
      if (this.#state === "raw") {
        target.onBody(from === 0 ? bytes : bytes.subarray(from));
        return bytes.length;
      }
      from = this.#state === "data" ? this.#feedData(bytes, from, target) : this.#feedLine(bytes, from, target);
      if (from < 0) return -1;
    }
    return from;
  }

  #feedData(bytes: Buffer, from: number, target: BodyTarget): number {
    const to = Math.min(bytes.length, from + this.#left);
    this.#left -= to - from;
    const isWhole = this.#left === 0;
    if (isWhole) this.#state = this.#isChunked ? "data-end" : "done";
    target.onBody(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    if (isWhole && !this.#isChunked) target.onBodyEnd(undefined);
    return to;
  }

  #feedLine(bytes: Buffer, from: number, target: BodyTarget): number {
    const end = bytes.indexOf(10, from);
    const to = end < 0 ? bytes.length : end;
    if (this.#line.length + to - from > maxSizeLine) return -1;
    this.#line += bytes.toString("latin1", from, to);
    if (end < 0) return this.#isHopeless() ? -1 : to;
    const line = this.#line;
    this.#line = "";
    if (!line.endsWith("\r")) return -1;
    return this.#takeLine(line.slice(0, -1), target) ? end + 1 : -1;
  }

  /** True where the part of a line that came can never become one: an error is told before the line ends. */
  #isHopeless(): boolean {
    if (this.#state === "data-end") return this.#line !== "" && this.#line !== "\r";
    return (
      this.#state === "size" && this.#line !== "" && !/^[0-9A-Fa-f]{1,13}(?:[\t ]*;.*)?[\t ]*\r?$/.test(this.#line)
    );
  }

  #takeLine(line: string, target: BodyTarget): boolean {
    if (this.#state === "data-end") {
      this.#state = "size";
      return line === "";
    }
    if (this.#state === "size") return this.#takeSize(line);
    return this.#takeTrailer(line, target);
  }

  #takeSize(line: string): boolean {
    const size = sizeLine.exec(line)?.[1];
    if (size === undefined) return false;
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? "trailers" : "data";
    return true;
  }

  #takeTrailer(line: string, target: BodyTarget): boolean {
    if (line === "") {
      this.#state = "done";
      target.onBodyEnd(this.#trailers === undefined ? undefined : new HeaderList(this.#trailers));
      return true;
    }
    this.#trailerBytes += line.length;
    const colon = line.indexOf(":");
    const name = colon > 0 ? this.#names.find(line.slice(0, colon)) : undefined;
    const value = line.slice(colon + 1).trim();
    if (name === undefined || forbidden.test(value) || this.#trailerBytes > maxTrailerBytes) return false;
    if (neverTrailers.has(name)) return false;
    this.#trailers ??= [];
    this.#trailers.push(name, value);
    return this.#trailers.length <= maxTrailers * 2;
  }
}
