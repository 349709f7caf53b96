/** A block is not larger than this: what is kept of it keeps all of it. */
const mostBlockBytes = 65_536;

/**
 * Copies of bytes that are kept, many of them in one piece of memory. For the collector each ArrayBuffer is an object with
 * an end of its own, and thousands of those that come at once make it stop for milliseconds.
 */
export class ByteBlocks {
  #block = new Uint8Array();
  #at = 0;
  #copiedBytes = 0;

  /** A copy that is a view into a block. What is copied first has a block of its own, so that one alone keeps no more. */
  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    if (length > this.#block.length - this.#at) {
      this.#block = new Uint8Array(Math.max(length, Math.min(this.#copiedBytes, mostBlockBytes)));
      this.#at = 0;
    }
    const copy = this.#block.subarray(this.#at, this.#at + length);
    copy.set(bytes);
    this.#at += length;
    this.#copiedBytes += length;
    return copy;
  }
}
