/** Takes bytes of answers apart: heads, bodies by length, by chunks or until the end, trailers. Knows nothing of sockets. */
import type { HeaderList } from "../../http/header-list.ts";
import { type HeadLimits, Http1ProtocolError, parseResponseHead, type ResponseHead } from "./http1-head.ts";

export interface ResponseEvents {
  /** A 1xx answer other than 101. */
  onInformation(head: ResponseHead): void;
  /** `hasBody` is false where the answer ends with its head: onEnd comes next. */
  onHead(head: ResponseHead, hasBody: boolean): void;
  /** The bytes are good until the call returns. */
  onBody(buffer: Buffer, start: number, end: number): void;
  onEnd(trailers: HeaderList | undefined): void;
}

export interface ParserLimits extends HeadLimits {
  readonly maxHeaderBytes: number;
  readonly hasTrailers: boolean;
}

type State = "idle" | "head" | "length" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "rest";

const headEnd = Buffer.from("\r\n\r\n", "latin1");
/** Most heads are shorter; longer ones are looked for a second time. */
const likelyHead = 2048;
/** With extensions, which nobody uses. */
const maxChunkLine = 4096;

export class Http1ResponseParser {
  readonly #limits: ParserLimits;
  readonly #events: ResponseEvents;
  #state: State = "idle";
  #method = "";
  #takesUpgrade = false;
  /** Bytes of the body or of the chunk that are still to come. */
  #left = 0;
  /** What came of a head, a chunk's line or trailers that is not whole yet. */
  #partial: Buffer | undefined;

  constructor(limits: ParserLimits, events: ResponseEvents) {
    this.#limits = limits;
    this.#events = events;
  }

  /** A request has been sent: the next bytes are its answer. `takesUpgrade`: it asked for a 101, or is a CONNECT. */
  expect(method: string, takesUpgrade: boolean): void {
    this.#state = "head";
    this.#method = method;
    this.#takesUpgrade = takesUpgrade;
  }

  /** True between an answer's end and the next request. */
  get isIdle(): boolean {
    return this.#state === "idle";
  }

  /** True where an answer's head has come in part. */
  get isInHead(): boolean {
    return this.#state === "head" && this.#partial !== undefined;
  }

  /** Takes bytes; throws Http1ProtocolError, also for bytes that nobody asked for. */
  execute(buffer: Buffer, start: number, end: number): void {
    let data = buffer;
    let position = start;
    let limit = end;
    if (this.#partial !== undefined) {
      data = Buffer.concat([this.#partial, buffer.subarray(start, end)]);
      this.#partial = undefined;
      position = 0;
      limit = data.length;
    }
    while (position < limit) {
      const next = this.#step(data, position, limit);
      if (next < 0) {
        this.#keep(data, position, limit);
        return;
      }
      position = next;
    }
  }

  /** The server has closed: true where that ends an answer, as one without a length. */
  finish(): boolean {
    if (this.#state !== "rest") return false;
    this.#end(undefined);
    return true;
  }

  /** The next position, or -1 where more bytes are needed. */
  #step(data: Buffer, position: number, limit: number): number {
    switch (this.#state) {
      case "idle":
        throw new Http1ProtocolError("http1.response_before_request");
      case "head":
        return this.#readHead(data, position, limit);
      case "length":
      case "chunk":
        return this.#readBody(data, position, limit);
      case "rest":
        this.#events.onBody(data, position, limit);
        return limit;
      case "chunk-size":
        return this.#readChunkSize(data, position, limit);
      case "chunk-end":
        return this.#readChunkEnd(data, position, limit);
      case "trailers":
        return this.#readTrailers(data, position, limit);
    }
  }

  #readHead(data: Buffer, position: number, limit: number): number {
    let text = data.toString("latin1", position, Math.min(limit, position + likelyHead));
    let end = text.indexOf("\r\n\r\n");
    if (end < 0 && limit - position > likelyHead) {
      const at = data.indexOf(headEnd, position + likelyHead - headEnd.length);
      if (at >= 0 && at < limit) {
        end = at - position;
        text = data.toString("latin1", position, at + headEnd.length);
      }
    }
    if (end > this.#limits.maxHeaderBytes) throw new Http1ProtocolError("http1.headers_too_large");
    if (end < 0) {
      checkBeginning(data, position, limit);
      return -1;
    }
    const head = parseResponseHead(text, end, this.#limits);
    this.#takeHead(head);
    return position + end + headEnd.length;
  }

  #takeHead(head: ResponseHead): void {
    const { status } = head;
    if (status < 200 && status !== 101) {
      this.#events.onInformation(head);
      return;
    }
    const isConnected = this.#method === "CONNECT" && status >= 200 && status < 300;
    if (status === 101 && (!this.#takesUpgrade || this.#method === "CONNECT")) {
      throw new Http1ProtocolError("http1.unexpected_upgrade");
    }
    if (status === 101 || isConnected) {
      this.#state = "rest";
      this.#events.onHead(head, true);
      return;
    }
    if (this.#method === "HEAD" || status === 204 || status === 304) this.#endWithHead(head);
    else if (head.isChunked) this.#beginBody(head, "chunk-size", 0);
    else if (head.contentLength === 0) this.#endWithHead(head);
    else if (head.contentLength !== undefined) this.#beginBody(head, "length", head.contentLength);
    else this.#beginBody(head, "rest", 0);
  }

  #endWithHead(head: ResponseHead): void {
    this.#state = "idle";
    this.#events.onHead(head, false);
    this.#events.onEnd(undefined);
  }

  #beginBody(head: ResponseHead, state: State, left: number): void {
    this.#state = state;
    this.#left = left;
    this.#events.onHead(head, true);
  }

  #readBody(data: Buffer, position: number, limit: number): number {
    const next = Math.min(limit, position + this.#left);
    this.#left -= next - position;
    // Before the bytes are given away: whoever takes the last ones sees that they were the last.
    const isWhole = this.#left === 0;
    this.#events.onBody(data, position, next);
    if (isWhole && this.#state === "length") this.#end(undefined);
    else if (isWhole) this.#state = "chunk-end";
    return next;
  }

  #readChunkSize(data: Buffer, position: number, limit: number): number {
    const end = data.indexOf(10, position);
    if (end < 0 || end >= limit) {
      if (limit - position > maxChunkLine) throw new Http1ProtocolError("http1.codec_error");
      return -1;
    }
    if (end === position || data[end - 1] !== 13) throw new Http1ProtocolError("http1.codec_error");
    this.#left = parseChunkSize(data.toString("latin1", position, end - 1));
    this.#state = this.#left === 0 ? "trailers" : "chunk";
    return end + 1;
  }

  #readChunkEnd(data: Buffer, position: number, limit: number): number {
    if (data[position] !== 13) throw new Http1ProtocolError("http1.codec_error");
    if (limit - position < 2) return -1;
    if (data[position + 1] !== 10) throw new Http1ProtocolError("http1.codec_error");
    this.#state = "chunk-size";
    return position + 2;
  }

  #readTrailers(data: Buffer, position: number, limit: number): number {
    if (data[position] === 13 && limit - position >= 2) {
      if (data[position + 1] !== 10) throw new Http1ProtocolError("http1.codec_error");
      this.#end(undefined);
      return position + 2;
    }
    const at = data.indexOf(headEnd, position);
    if (at < 0 || at >= limit) {
      if (limit - position > this.#limits.maxHeaderBytes) throw new Http1ProtocolError("http1.trailers_too_large");
      return -1;
    }
    // A status line in front makes a head of it: the same rules hold for both.
    const text = `HTTP/1.1 200\r\n${data.toString("latin1", position, at + headEnd.length)}`;
    const { headers } = parseResponseHead(text, text.length - headEnd.length, this.#limits);
    headers.remove("content-length");
    this.#end(this.#limits.hasTrailers && headers.raw.length > 0 ? headers : undefined);
    return at + headEnd.length;
  }

  #end(trailers: HeaderList | undefined): void {
    this.#state = "idle";
    this.#events.onEnd(trailers);
  }

  #keep(data: Buffer, position: number, limit: number): void {
    if (limit - position > this.#limits.maxHeaderBytes + headEnd.length) {
      throw new Http1ProtocolError("http1.headers_too_large");
    }
    this.#partial = Buffer.from(data.subarray(position, limit));
  }
}

function parseChunkSize(line: string): number {
  const size = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)?.[1];
  if (size === undefined) throw new Http1ProtocolError("http1.codec_error");
  return Number.parseInt(size, 16);
}

/** What is no answer at all is found at once, not when its head has grown too long. */
function checkBeginning(data: Buffer, position: number, limit: number): void {
  const beginning = data.toString("latin1", position, Math.min(limit, position + 7));
  if (!"HTTP/1.".startsWith(beginning)) throw new Http1ProtocolError("http1.codec_error");
  for (let at = data.indexOf(10, position); at >= 0 && at < limit; at = data.indexOf(10, at + 1)) {
    if (at === position || data[at - 1] !== 13) throw new Http1ProtocolError("http1.codec_error");
  }
}
