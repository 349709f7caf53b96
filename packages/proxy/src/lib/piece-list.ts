/** Pieces of at least this many bytes are kept as they are. */
const largePiece = 2_048;
const blockBytes = 4_096;

/**
 * Bytes that wait, in their order. Small pieces are put together: an object for each of them would take many times their
 * own memory, and how many there are is for whoever sends them to say.
 */
export class PieceList {
  #pieces: Uint8Array[] = [];
  /** The memory of the last piece, as long as it has room. */
  #block: Buffer | undefined;
  #used = 0;
  bytes = 0;

  add(piece: Uint8Array): void {
    this.bytes += piece.length;
    // The first one may be the only one.
    if (piece.length >= largePiece || (this.#block === undefined && this.#pieces.length === 0)) {
      this.#closeBlock();
      this.#pieces.push(piece);
      return;
    }
    if (this.#block === undefined || this.#block.length - this.#used < piece.length) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
      this.#used = 0;
    }
    this.#block.set(piece, this.#used);
    this.#used += piece.length;
  }

  /** All of them; none is left. */
  take(): Uint8Array[] {
    this.#closeBlock();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.bytes = 0;
    return pieces;
  }

  #closeBlock(): void {
    if (this.#block !== undefined) this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = undefined;
  }
}
