/** A stream of a session: its windows, and what waits to be sent on it. */

import { errorCodes } from "./error-codes.ts";
import { frameTypes } from "./frame-types.ts";
import type { FrameWriter, WrittenCallback } from "./frame-writer.ts";
import { whenWritten } from "./free-bytes.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { SharedFrames } from "./shared-frames.ts";
import type { Numbered } from "./stream-table.ts";

/** What a stream tells of what the peer sends on it. */
export interface StreamHandler {
  /** Content. It is to be told to the stream as consumed when nothing of it is held any more. */
  onData(bytes: Buffer): void;
  /**
   * Trailers; before them what heads an answer, to a client: name, value, name, value …, unchecked. Whether the peer's side
   * has ended with them the stream says. Throws ConnectionError.
   */
  onHeaders(raw: string[]): void;
  /** The peer's side has ended without trailers. Throws ConnectionError. */
  onEnd(): void;
  /** Trailers came that are more than the limits let pass: the stream has to be reset. */
  onOverflow(): void;
  /** The peer has reset the stream, or the connection is gone: nothing follows. */
  onReset(code: number): void;
  /** `send` was false, and more may be sent. */
  onWritable(): void;
  /** All of this side was written, its end included. */
  onSent(): void;
}

/** The session of a stream, as far as the stream needs it. */
export interface StreamOwner {
  readonly writer: FrameWriter;
  /** Bytes that the peer takes on all streams. */
  sendWindow: number;
  /** Bytes that wait on all streams. */
  waitingBytes: number;
  /** Has `emit` of the stream called when what is there to be read now has been taken in. */
  queue(stream: SessionStream): void;
  /**
   * Of a client: writes all heads that wait, in the order of their streams. A head closes the streams below its own that have
   * none (RFC 9113, section 5.1.1): servers throw away what comes for those.
   */
  writeHeads(): void;
  /** Has what was written sent soon. */
  flushSoon(): void;
  /** Content was read on any stream. */
  consume(bytes: number): void;
  /** The stream is over. */
  drop(stream: SessionStream): void;
  countSentReset(): void;
}

/** Bytes that wait on a stream before its source has to. */
const heldBytes = 131_072;
/** The same of all streams of a connection; each may have one piece waiting in any case. */
const heldTogether = 1024 * 1024;
/** Smaller pieces that wait are put together. */
const smallPiece = 2_048;

const empty = Buffer.alloc(0);

interface Piece {
  readonly bytes: Uint8Array | SharedFrames;
  readonly onWritten: WrittenCallback | undefined;
}

export class SessionStream implements Numbered<SessionStream> {
  readonly id: number;
  readonly #owner: StreamOwner;
  next: SessionStream | undefined;
  handler: StreamHandler | undefined;
  /** Bytes that the peer takes; below 0 where its SETTINGS made it so. */
  sendWindow: number;
  /** Bytes that the peer may send. */
  readonly receiveWindow: ReceiveWindow;
  #held = 0;
  #head: readonly string[] | undefined;
  #first: Uint8Array | SharedFrames | undefined;
  /** Where the part of the first piece begins that is not sent. */
  #firstAt = 0;
  /** What is to be called when the first piece has been written. */
  #onWritten: WrittenCallback | undefined;
  #others: Piece[] = noPieces;
  #waitingBytes = 0;
  #trailers: readonly string[] | undefined;
  #isEnding = false;
  #wantsMore = false;
  isQueued = false;
  /** The peer has ended its side. */
  isRemoteEnded = false;
  /** This side has ended, and its end was written. */
  isLocalEnded = false;
  isClosed = false;

  constructor(id: number, owner: StreamOwner, windows: { readonly send: number; readonly receive: number }) {
    this.id = id;
    this.#owner = owner;
    this.sendWindow = windows.send;
    this.receiveWindow = new ReceiveWindow(windows.receive);
  }

  /** Sends a head that is not the last one (1xx), at once. */
  sendInformation(raw: readonly string[]): void {
    if (this.isClosed || this.#head !== undefined) return;
    this.#owner.writer.writeHeaders(this.id, raw, false);
    this.#owner.flushSoon();
  }

  /** Sends the head; `isEnd` where nothing follows. Name, value, name, value …, pseudo headers first. */
  sendHead(raw: readonly string[], isEnd: boolean): void {
    if (this.isClosed) return;
    this.#head = raw;
    this.#isEnding = isEnd;
    this.#owner.queue(this);
  }

  /**
   * Sends content. False where the sender should wait for `onWritable`. Where `isOwned` is true nobody else will look at
   * the bytes again, and their memory is given back when they have been written (free-bytes.ts). Else `onWritten` is called
   * when the connection has taken all of them; with an error where it broke off, and not at all where the stream did.
   */
  send(bytes: Uint8Array, isOwned = false, onWritten?: WrittenCallback): boolean {
    return this.#add(bytes, isOwned ? whenWritten(bytes) : onWritten);
  }

  /** The same for content that others send, too; it has to be made for the number of this stream. */
  sendShared(frames: SharedFrames, onWritten?: WrittenCallback): boolean {
    if (frames.stream !== this.id) throw new Error(`frames of stream ${frames.stream}, sent on ${this.id}`);
    return this.#add(frames, onWritten);
  }

  #add(bytes: Piece["bytes"], onWritten: WrittenCallback | undefined): boolean {
    const { length } = bytes;
    if (this.isClosed || this.#isEnding || length === 0) return true;
    this.#waitingBytes += length;
    this.#owner.waitingBytes += length;
    if (this.#first === undefined) {
      this.#first = bytes;
      this.#onWritten = onWritten;
    } else this.#addOther({ bytes, onWritten });
    this.#owner.queue(this);
    this.#wantsMore = !this.#takesMore || this.#owner.writer.isFull;
    return !this.#wantsMore;
  }

  get #takesMore(): boolean {
    if (this.#waitingBytes === 0) return true;
    return this.#waitingBytes < heldBytes && this.#owner.waitingBytes < heldTogether;
  }

  #addOther(piece: Piece): void {
    if (this.#others === noPieces) this.#others = [];
    const others = this.#others;
    const last = others.at(-1);
    const joint = last?.onWritten === undefined ? joinSmall(last?.bytes, piece.bytes) : undefined;
    if (joint === undefined) others.push(piece);
    else others[others.length - 1] = { ...piece, bytes: joint };
  }

  /** Ends this side behind what was sent. */
  end(trailers?: readonly string[]): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    this.#owner.queue(this);
  }

  /** RST_STREAM, behind as much of what waits as the peer takes. The handler hears nothing any more. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.#owner.writeHeads();
    this.#emitContent();
    this.#owner.writer.writeNumber(frameTypes.reset, this.id, code);
    this.#owner.countSentReset();
    this.#owner.flushSoon();
    this.close();
  }

  /** So many bytes came, which wait to be consumed. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  /** The holder of content has done with so many bytes of it: the peer may send as many. */
  consume(bytes: number): void {
    // What was held by the end of the stream is the connection's already.
    if (this.isClosed) return;
    this.#held -= bytes;
    this.#owner.consume(bytes);
    if (this.isRemoteEnded) return;
    const increment = this.receiveWindow.consume(bytes);
    if (increment === 0) return;
    this.#owner.writer.writeNumber(frameTypes.windowUpdate, this.id, increment);
    this.#owner.flushSoon();
  }

  /** Writes what may be written now. */
  emit(): void {
    if (this.isClosed) return;
    this.#emitContent();
    if (this.isLocalEnded) {
      const { handler } = this;
      if (this.isRemoteEnded) this.close();
      handler?.onSent();
    } else this.#askForMore();
  }

  /** True where it has something to send, or to ask for, and its own window does not hold it back. */
  get waitsForConnection(): boolean {
    if (this.isClosed || this.isLocalEnded) return false;
    if (this.#waitingBytes > 0 && this.sendWindow > 0) return true;
    return this.#wantsMore && this.#takesMore;
  }

  #askForMore(): void {
    if (!this.#wantsMore || !this.#takesMore || this.#owner.writer.isFull) return;
    this.#wantsMore = false;
    this.handler?.onWritable();
  }

  /** Writes the head where it has not been written. */
  writeHead(): void {
    const head = this.#head;
    if (head === undefined) return;
    this.#head = undefined;
    this.isLocalEnded = this.#isEnding && this.#waitingBytes === 0 && this.#trailers === undefined;
    this.#owner.writer.writeHeaders(this.id, head, this.isLocalEnded);
  }

  #emitContent(): void {
    this.writeHead();
    if (this.isLocalEnded) return;
    this.#emitData();
    if (this.#waitingBytes > 0 || !this.#isEnding || this.isLocalEnded) return;
    this.isLocalEnded = true;
    if (this.#trailers !== undefined) this.#owner.writer.writeHeaders(this.id, this.#trailers, true);
    else this.#owner.writer.writeData(this.id, empty, true);
  }

  #emitData(): void {
    const { writer } = this.#owner;
    // Then the others have their turn.
    let budget = writer.batchBytes / 2;
    while (this.#first !== undefined && budget > 0 && !writer.isFull) {
      const piece = this.#first;
      const most = Math.min(piece.length - this.#firstAt, this.sendWindow, this.#owner.sendWindow);
      if (most <= 0) return;
      const isShared = piece instanceof SharedFrames;
      const length = isShared ? this.#writeShared(piece, Math.min(most, budget)) : this.#writePiece(piece, most);
      budget -= length;
      this.sendWindow -= length;
      this.#owner.sendWindow -= length;
      this.#waitingBytes -= length;
      this.#owner.waitingBytes -= length;
      this.#firstAt += length;
      if (this.#firstAt < piece.length) continue;
      if (this.#onWritten !== undefined) writer.whenWritten(this.#onWritten);
      const next = this.#others.shift();
      this.#first = next?.bytes;
      this.#firstAt = 0;
      this.#onWritten = next?.onWritten;
    }
  }

  /** One frame of at most so many bytes. How many they were. */
  #writePiece(piece: Uint8Array, most: number): number {
    const { writer } = this.#owner;
    const length = Math.min(most, writer.maxFrameBytes);
    const isEnd = length === this.#waitingBytes && this.#isEnding && this.#trailers === undefined;
    const at = this.#firstAt;
    writer.writeData(this.id, length === piece.length ? piece : piece.subarray(at, at + length), isEnd);
    this.isLocalEnded = isEnd;
    return length;
  }

  /** As many frames as there are, or as much of one as the peer takes. */
  #writeShared(frames: SharedFrames, most: number): number {
    const { writer } = this.#owner;
    const length = frames.wholeLength(this.#firstAt, most);
    if (length > 0) {
      writer.writeFrames(frames.cutFrames(this.#firstAt, length), SharedFrames.countFrames(length));
      return length;
    }
    const content = frames.cutContent(this.#firstAt, most);
    writer.writeData(this.id, content, false);
    return content.length;
  }

  /** The peer has reset it, or the connection is gone. */
  leave(code: number = errorCodes.cancel): void {
    if (this.isClosed) return;
    const { handler } = this;
    this.close();
    handler?.onReset(code);
  }

  /** Nothing follows. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.handler = undefined;
    this.#head = undefined;
    this.#first = undefined;
    this.#onWritten = undefined;
    this.#others = noPieces;
    this.#owner.waitingBytes -= this.#waitingBytes;
    this.#waitingBytes = 0;
    if (this.#held > 0) this.#owner.consume(this.#held);
    this.#owner.drop(this);
  }
}

/** Of all streams that have no second piece waiting: nobody adds to it. */
const noPieces: Piece[] = [];

/** Both in one piece, where both are small; undefined where they are not. */
function joinSmall(last: Piece["bytes"] | undefined, bytes: Piece["bytes"]): Uint8Array | undefined {
  if (last === undefined || last.length + bytes.length > smallPiece) return undefined;
  return last instanceof SharedFrames || bytes instanceof SharedFrames ? undefined : Buffer.concat([last, bytes]);
}
