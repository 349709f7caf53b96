/** What the peer may send before it is read (RFC 9113, section 5.2). It is opened again in halves, not for every frame. */
export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  #consumed = 0;

  /** `size` in bytes. */
  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** Bytes that came; false where they are too many. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Bytes that were read. By how much the peer is to be told that the window is open again; 0 for not yet. */
  consume(bytes: number): number {
    this.#consumed += bytes;
    if (this.#consumed * 2 < this.#size) return 0;
    const increment = this.#consumed;
    this.#left += increment;
    this.#consumed = 0;
    return increment;
  }
}
