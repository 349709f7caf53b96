/** Cuts a byte stream into gRPC messages (five bytes of head: compression flag and big-endian length). */
export class GrpcFrames {
  readonly #onMessage: (chunks: readonly Buffer[]) => void;
  #chunks: Buffer[] = [];
  #buffered = 0;

  /** `onMessage` gets the chunks of one message, without its head. */
  constructor(onMessage: (chunks: readonly Buffer[]) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    for (;;) {
      if (this.#buffered < 5) return;
      const length = this.#peek(5).readUInt32BE(1);
      if (this.#buffered < 5 + length) return;
      this.#take(5);
      this.#onMessage(this.#take(length));
    }
  }

  #peek(count: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= count) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #take(count: number): readonly Buffer[] {
    const taken: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) break;
      if (chunk.length > missing) this.#chunks.unshift(chunk.subarray(missing));
      const part = chunk.subarray(0, missing);
      taken.push(part);
      missing -= part.length;
    }
    this.#buffered -= count;
    return taken;
  }
}
