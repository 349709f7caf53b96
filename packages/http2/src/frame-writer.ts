/**
 * Frames on their way out. What is written is gathered until `flush`, and goes to the connection's stream in one piece, or
 * as few as there are; how much of it waits in the stream's own buffer is its concern, too.
 */
import type { Duplex } from "node:stream";
import { defaultFrameBytes, frameFlags, frameHeadBytes, frameTypes, largest31 } from "./frame-types.ts";
import { HpackEncoder } from "./hpack/encoder.ts";

/** Memory that frames are put together in: as much as the batch before has taken, and some more. */
const leastSlabBytes = 512;
const mostSlabBytes = 65_536;
/** Content of at least this many bytes is not copied. */
const ownPieceBytes = 4_096;
const defaultBatchBytes = 262_144;

const empty = Buffer.alloc(0);

/** Is called when something was written, or with what came in between. */
export type WrittenCallback = (error?: Error | null) => void;

export class FrameWriter {
  readonly #stream: Duplex;
  /** Bytes of one batch, beyond which content waits for the next. */
  readonly batchBytes: number;
  readonly #encoder = new HpackEncoder();
  #slab: Buffer = empty;
  #slabBytes = leastSlabBytes;
  #from = 0;
  #at = 0;
  /** Pieces before what is in the slab. */
  #pieces: Buffer[] = [];
  /** By the place of a piece: what is to be called when it has been written. */
  #onWritten: WrittenCallback[] = [];
  #pieceBytes = 0;
  /** Bytes of this batch that went through a slab. */
  #copiedBytes = 0;
  /** The longest frame that the peer takes (SETTINGS_MAX_FRAME_SIZE). */
  maxFrameBytes = defaultFrameBytes;
  /** Frames that the stream has not taken to its end, as Envoy counts those that wait. */
  waitingFrames = 0;
  /** Those of types PING, SETTINGS and RST_STREAM that answer something: counted by the session. */
  waitingControlFrames = 0;
  /** All DATA frames so far. */
  dataFrames = 0;

  constructor(stream: Duplex, batchBytes = defaultBatchBytes) {
    this.#stream = stream;
    this.batchBytes = batchBytes;
  }

  setMaxTableBytes(bytes: number): void {
    this.#encoder.setMaxTableBytes(bytes);
  }

  /** True while content has to wait: the peer does not read, or enough is there to be flushed. */
  get isFull(): boolean {
    return this.#stream.writableNeedDrain || this.#pieceBytes + this.#at - this.#from >= this.batchBytes;
  }

  get hasOutput(): boolean {
    return this.#at > this.#from || this.#pieces.length > 0;
  }

  /** What a client says before its first frame. */
  writePreface(preface: Uint8Array): void {
    this.#begin(preface.length);
    this.#slab.set(preface, this.#at);
    this.#at += preface.length;
  }

  /** A frame without a stream's content. */
  writeFrame(type: number, flags: number, payload: Uint8Array = empty): void {
    this.waitingFrames += 1;
    this.#begin(payload.length);
    this.#writeHead(payload.length, (type << 8) | flags, 0);
    this.#slab.set(payload, this.#at);
    this.#at += payload.length;
  }

  /** RST_STREAM with its code, or WINDOW_UPDATE with its increment. */
  writeNumber(type: number, stream: number, value: number): void {
    this.waitingFrames += 1;
    this.#begin(4);
    this.#writeHead(4, type << 8, stream);
    this.#at = this.#slab.writeUInt32BE(value, this.#at);
  }

  /** A head or trailers: name, value, name, value …; pseudo headers first. */
  writeHeaders(stream: number, raw: readonly string[], isEnd: boolean): void {
    const bound = HpackEncoder.bound(raw);
    this.#begin(bound);
    const start = this.#at;
    const end = this.#encoder.encode(raw, this.#slab, start + frameHeadBytes);
    const length = end - start - frameHeadBytes;
    const flags = isEnd ? frameFlags.endStream : 0;
    this.waitingFrames += 1;
    if (length <= this.maxFrameBytes) {
      this.#writeHead(length, (frameTypes.headers << 8) | flags | frameFlags.endHeaders, stream);
      this.#at = end;
      return;
    }
    const block = Buffer.from(this.#slab.subarray(start + frameHeadBytes, end));
    for (let at = 0; at < length; at += this.maxFrameBytes) {
      const part = block.subarray(at, at + this.maxFrameBytes);
      const last = at + part.length === length ? frameFlags.endHeaders : 0;
      const kind = at === 0 ? (frameTypes.headers << 8) | flags : frameTypes.continuation << 8;
      this.#begin(part.length);
      this.#writeHead(part.length, kind | last, stream);
      this.#slab.set(part, this.#at);
      this.#at += part.length;
    }
  }

  /** Content in one frame: not more than `maxFrameBytes`. */
  writeData(stream: number, bytes: Uint8Array, isEnd: boolean): void {
    const { length } = bytes;
    this.dataFrames += 1;
    this.waitingFrames += 1;
    const kind = (frameTypes.data << 8) | (isEnd ? frameFlags.endStream : 0);
    if (length < ownPieceBytes) {
      this.#begin(length);
      this.#writeHead(length, kind, stream);
      this.#slab.set(bytes, this.#at);
      this.#at += length;
      return;
    }
    this.#begin(0);
    this.#writeHead(length, kind, stream);
    this.#cut();
    this.#pieces.push(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, length));
    this.#pieceBytes += length;
  }

  /** DATA frames that were made before, so many of them; they are not copied. */
  writeFrames(frames: Buffer, count: number): void {
    this.dataFrames += count;
    this.waitingFrames += count;
    this.#cut();
    this.#pieces.push(frames);
    this.#pieceBytes += frames.length;
  }

  /** Has `run` called when all that was written so far has left, and is needed no more. */
  whenWritten(run: WrittenCallback): void {
    this.#cut();
    this.#onWritten[this.#pieces.length - 1] = run;
  }

  /** GOAWAY; without a number all streams of the peer are still taken. */
  writeGoaway(code: number, text = "", lastStream = largest31): void {
    const payload = Buffer.alloc(8 + text.length);
    payload.writeUInt32BE(lastStream, 0);
    payload.writeUInt32BE(code, 4);
    payload.write(text, 8, "latin1");
    this.writeFrame(frameTypes.goaway, 0, payload);
  }

  /** Hands on what was gathered. */
  flush(): void {
    if (!this.hasOutput) return;
    this.#cut();
    const stream = this.#stream;
    const pieces = this.#pieces;
    const onWritten = this.#onWritten;
    this.#pieces = [];
    if (onWritten.length > 0) this.#onWritten = [];
    this.#slabBytes = Math.min(Math.max(leastSlabBytes, this.#copiedBytes + (this.#copiedBytes >> 2)), mostSlabBytes);
    this.#copiedBytes = 0;
    this.#slab = empty;
    this.#from = 0;
    this.#at = 0;
    this.#pieceBytes = 0;
    if (stream.destroyed || stream.writableEnded) return;
    const [first = empty] = pieces;
    if (pieces.length === 1) stream.write(first, onWritten[0]);
    else {
      stream.cork();
      for (const [place, piece] of pieces.entries()) stream.write(piece, onWritten[place]);
      stream.uncork();
    }
    if (stream.writableLength === 0) this.onDrained();
  }

  /** Everything that was flushed has left. */
  onDrained(): void {
    this.waitingFrames = 0;
    this.waitingControlFrames = 0;
  }

  /** Makes room for a frame with a payload of so many bytes. */
  #begin(length: number): void {
    const needed = length + frameHeadBytes;
    if (this.#slab.length - this.#at >= needed) return;
    if (this.hasOutput) {
      // A second one in a batch: the next should not be smaller.
      this.#cut();
      this.#slabBytes = Math.min(this.#slabBytes * 2, mostSlabBytes);
    }
    // Small ones are a part of what Node keeps for that.
    this.#slab = Buffer.allocUnsafe(Math.max(this.#slabBytes, needed));
    this.#from = 0;
    this.#at = 0;
  }

  /** `kind` is the type and, in the lower byte, the flags. */
  #writeHead(length: number, kind: number, stream: number): void {
    const slab = this.#slab;
    const at = this.#at;
    slab.writeUInt32BE(((length << 8) | (kind >>> 8)) >>> 0, at);
    slab[at + 4] = kind & 0xff;
    this.#at = slab.writeUInt32BE(stream, at + 5);
  }

  /** Makes a piece of what is in the slab. */
  #cut(): void {
    if (this.#at === this.#from) return;
    this.#pieces.push(this.#slab.subarray(this.#from, this.#at));
    this.#pieceBytes += this.#at - this.#from;
    this.#copiedBytes += this.#at - this.#from;
    this.#from = this.#at;
  }
}
