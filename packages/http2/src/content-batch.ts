import type { SessionStream } from "./session-stream.ts";

/** Below this, memory is a part of what Node keeps for small buffers, or not worth to be given back by itself. */
const ownMemoryBytes = 16_384;

/**
 * Content in what is being read: frames of a stream that follow each other are handed on in one piece. That is a copy, in
 * memory of its own, which may be given back as soon as it was passed on (free-bytes.ts), as that of what was read may.
 */
export class ContentBatch {
  #stream: SessionStream | undefined;
  #pieces: Buffer[] = [];
  readonly #handsOnPieces: boolean;

  /** `handsOnPieces`: nothing is put together, and nothing copied. */
  constructor(handsOnPieces: boolean) {
    this.#handsOnPieces = handsOnPieces;
  }

  add(stream: SessionStream, bytes: Buffer): void {
    if (this.#handsOnPieces) {
      stream.handler?.onData(bytes);
      return;
    }
    if (stream !== this.#stream) {
      this.handOn();
      this.#stream = stream;
    }
    this.#pieces.push(bytes);
  }

  handOn(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const pieces = this.#pieces;
    this.drop();
    if (!stream.isClosed) stream.handler?.onData(joinPieces(pieces));
  }

  drop(): void {
    this.#stream = undefined;
    this.#pieces = [];
  }
}

function joinPieces(pieces: readonly Buffer[]): Buffer {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const bytes = length < ownMemoryBytes ? Buffer.allocUnsafe(length) : Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
