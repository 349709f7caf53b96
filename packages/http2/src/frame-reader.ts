/**
 * Takes the bytes of a connection apart into frames as they come. What is wrong with a frame by itself (its size, the stream
 * that it names, its padding) is refused here, before its payload is waited for.
 */
import { ConnectionError, errorCodes, protocolError } from "./error-codes.ts";
import { defaultFrameBytes, type FrameHead, frameFlags, frameHeadBytes, frameTypes } from "./frame-types.ts";

/** Takes frames. `head` is the reader's own, and another one after the call. Throws ConnectionError. */
export interface FrameSink {
  /** A frame begins. */
  onHead(head: FrameHead): void;
  /** All of a frame that is not DATA, with its padding. Frames of unknown types have no payload here. */
  onFrame(head: FrameHead, payload: Buffer): void;
  /** Content of a DATA frame as it comes, in any number of pieces. */
  onData(head: FrameHead, bytes: Buffer): void;
  /** All of a DATA frame has come. */
  onDataEnd(head: FrameHead): void;
}

type State = "preface" | "head" | "payload" | "padding length" | "data" | "padding" | "ignored";

const empty = Buffer.alloc(0);
const noStream = 0;

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #preface: Buffer;
  readonly #head: FrameHead = { type: 0, flags: 0, stream: 0, length: 0 };
  /** What is being put together of pieces: a head, a payload. Most come whole, and a connection that rests holds nothing. */
  #gathered: Buffer = empty;
  /** Bytes of it, or of the preface. */
  #gatheredBytes = 0;
  #state: State;
  /** Bytes that are missing of what the state says. */
  #left = 0;
  #padding = 0;
  /** The stream whose head goes on: nothing but its CONTINUATION may come (RFC 9113, section 6.10). */
  #continued = noStream;
  #isStopped = false;

  /** `preface` is what has to come first; empty for none. */
  constructor(sink: FrameSink, preface: Buffer) {
    this.#sink = sink;
    this.#preface = preface;
    this.#state = preface.length > 0 ? "preface" : "head";
  }

  /** The stream whose head or trailers go on in frames that have not come; 0 for none. */
  get continuedStream(): number {
    return this.#continued;
  }

  /** Reads no more: what is left of a chunk is dropped. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Throws ConnectionError. */
  feed(chunk: Buffer): void {
    const end = chunk.length;
    let at = 0;
    while (at < end && !this.#isStopped) at = this.#step(chunk, at, end);
  }

  /** The place behind what was read. */
  #step(chunk: Buffer, at: number, end: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(chunk, at, end);
      case "payload":
        return this.#readPayload(chunk, at, end);
      case "data":
        return this.#readData(chunk, at, end);
      case "padding length":
        this.#beginData(chunk[at] ?? 0, 1);
        return at + 1;
      case "preface":
        return this.#readPreface(chunk, at, end);
      default:
        return this.#skip(at, end);
    }
  }

  #readPreface(chunk: Buffer, at: number, end: number): number {
    const length = Math.min(this.#preface.length - this.#gatheredBytes, end - at);
    if (this.#preface.compare(chunk, at, at + length, this.#gatheredBytes, this.#gatheredBytes + length) !== 0) {
      throw protocolError("bad connection preface");
    }
    this.#gatheredBytes += length;
    if (this.#gatheredBytes === this.#preface.length) {
      this.#gatheredBytes = 0;
      this.#state = "head";
    }
    return at + length;
  }

  #readHead(chunk: Buffer, at: number, end: number): number {
    if (this.#gatheredBytes === 0 && end - at >= frameHeadBytes) {
      this.#beginFrame(chunk, at);
      return at + frameHeadBytes;
    }
    const length = Math.min(frameHeadBytes - this.#gatheredBytes, end - at);
    if (this.#gatheredBytes === 0) this.#gathered = Buffer.allocUnsafe(frameHeadBytes);
    chunk.copy(this.#gathered, this.#gatheredBytes, at, at + length);
    this.#gatheredBytes += length;
    if (this.#gatheredBytes === frameHeadBytes) {
      this.#gatheredBytes = 0;
      const head = this.#gathered;
      this.#gathered = empty;
      this.#beginFrame(head, 0);
    }
    return at + length;
  }

  #beginFrame(bytes: Buffer, at: number): void {
    const head = this.#head;
    const word = bytes.readUInt32BE(at);
    head.length = word >>> 8;
    head.type = word & 0xff;
    head.flags = bytes[at + 4] ?? 0;
    head.stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    checkHead(head);
    this.#checkOrder(head);
    this.#sink.onHead(head);
    this.#left = head.length;
    if (head.type === frameTypes.data) {
      if ((head.flags & frameFlags.padded) === 0) this.#beginData(0, 0);
      else if (head.length === 0) throw new ConnectionError(errorCodes.frameSize, "DATA: no padding length");
      else this.#state = "padding length";
    } else if (head.length === 0) this.#sink.onFrame(head, empty);
    else if (head.type > frameTypes.continuation) this.#state = "ignored";
    else this.#state = "payload";
  }

  #checkOrder({ type, flags, stream }: FrameHead): void {
    if (this.#continued !== noStream) {
      if (type !== frameTypes.continuation || stream !== this.#continued) throw protocolError("expected CONTINUATION");
    } else if (type === frameTypes.continuation) throw protocolError("unexpected CONTINUATION");
    if (type !== frameTypes.headers && type !== frameTypes.continuation) return;
    this.#continued = (flags & frameFlags.endHeaders) === 0 ? stream : noStream;
  }

  #readPayload(chunk: Buffer, at: number, end: number): number {
    const { length } = this.#head;
    if (this.#left === length) {
      if (end - at >= length) {
        this.#state = "head";
        this.#sink.onFrame(this.#head, chunk.subarray(at, at + length));
        return at + length;
      }
      this.#gathered = Buffer.allocUnsafe(length);
    }
    const taken = Math.min(this.#left, end - at);
    chunk.copy(this.#gathered, length - this.#left, at, at + taken);
    this.#left -= taken;
    if (this.#left === 0) {
      const payload = this.#gathered;
      this.#gathered = empty;
      this.#state = "head";
      this.#sink.onFrame(this.#head, payload);
    }
    return at + taken;
  }

  #beginData(padding: number, own: number): void {
    const left = this.#head.length - own - padding;
    if (left < 0) throw protocolError("DATA: more padding than payload");
    this.#padding = padding;
    this.#left = left;
    if (left > 0) this.#state = "data";
    else this.#endData();
  }

  #readData(chunk: Buffer, at: number, end: number): number {
    const taken = Math.min(this.#left, end - at);
    this.#left -= taken;
    this.#sink.onData(this.#head, chunk.subarray(at, at + taken));
    if (this.#left === 0) this.#endData();
    return at + taken;
  }

  #endData(): void {
    this.#left = this.#padding;
    this.#padding = 0;
    this.#state = this.#left > 0 ? "padding" : "head";
    if (this.#left === 0) this.#sink.onDataEnd(this.#head);
  }

  #skip(at: number, end: number): number {
    const taken = Math.min(this.#left, end - at);
    this.#left -= taken;
    if (this.#left > 0) return at + taken;
    const isPadding = this.#state === "padding";
    this.#state = "head";
    if (isPadding) this.#sink.onDataEnd(this.#head);
    else this.#sink.onFrame(this.#head, empty);
    return at + taken;
  }
}

interface FrameRule {
  readonly name: string;
  /** "stream": not on stream 0; "connection": on no other; "either". */
  readonly place: "stream" | "connection" | "either";
  readonly hasLength: (length: number, flags: number) => boolean;
}

const any = (): boolean => true;

/** Sizes and streams that each type of frame may have, by its number (RFC 9113, section 6). */
const rules: readonly FrameRule[] = [
  { name: "DATA", place: "stream", hasLength: any },
  { name: "HEADERS", place: "stream", hasLength: any },
  { name: "PRIORITY", place: "stream", hasLength: (length) => length === 5 },
  { name: "RST_STREAM", place: "stream", hasLength: (length) => length === 4 },
  {
    name: "SETTINGS",
    place: "connection",
    hasLength: (length, flags) => length % 6 === 0 && ((flags & frameFlags.ack) === 0 || length === 0),
  },
  { name: "PUSH_PROMISE", place: "stream", hasLength: any },
  { name: "PING", place: "connection", hasLength: (length) => length === 8 },
  { name: "GOAWAY", place: "connection", hasLength: (length) => length >= 8 },
  { name: "WINDOW_UPDATE", place: "either", hasLength: (length) => length === 4 },
  { name: "CONTINUATION", place: "stream", hasLength: any },
];

function checkHead({ type, flags, stream, length }: FrameHead): void {
  if (length > defaultFrameBytes) throw new ConnectionError(errorCodes.frameSize, "too large frame size");
  const rule = rules[type];
  if (rule === undefined) return;
  const { name, place } = rule;
  if (place !== "either" && (stream === 0) !== (place === "connection")) {
    throw protocolError(`${name}: invalid stream_id`);
  }
  if (!rule.hasLength(length, flags)) throw new ConnectionError(errorCodes.frameSize, `${name}: bad length`);
}
