const lineFeed = 0x0a;

/** A line of a watch that is no event, or too long for one. */
export class GarbledWatchError extends Error {
  override readonly name = "GarbledWatchError";
}

/**
 * Cuts a stream of bytes into its lines, wherever the chunks begin and end: a line becomes text only once it is whole, so
 * that no character is torn apart.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of a line that has no end yet. */
  get pendingBytes(): number {
    return this.#length;
  }

  /** The lines that end in this chunk; empty ones are left out. Throws GarbledWatchError for one that is too long. */
  *push(chunk: Uint8Array): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      this.#add(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(this.#parts).toString("utf8");
      this.#parts = [];
      this.#length = 0;
      if (line.trim() !== "") yield line;
    }
    if (start < chunk.length) this.#add(chunk.subarray(start));
  }

  #add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#maxBytes) throw new GarbledWatchError(`an event is longer than ${this.#maxBytes} bytes`);
    this.#parts.push(part);
  }
}
