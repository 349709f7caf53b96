/**
 * Cuts a gRPC stream into messages (five bytes of head: compression flag and big-endian length). Of a message that another
 * proxy has got already only the nonce is looked at; the rest is let go of as it comes.
 */
import { type DigestCache, headBytes, keyBytes } from "./digest-cache.ts";
import type { ResponseDigest } from "./response-digest.ts";
import { readText, readVarint } from "./wire-fields.ts";

export interface ReadMessage {
  readonly digest: ResponseDigest;
  readonly nonce: string;
  /** Without the head. */
  readonly bytes: number;
}

export interface MessageReaderOptions {
  readonly cache: DigestCache;
  /** See DigestCache.formatKey. */
  readonly scope: string;
  readonly onMessage: (message: ReadMessage) => void;
}

interface Head {
  readonly length: number;
  readonly key: string;
  readonly known: ResponseDigest | undefined;
  /** Bytes of the message that were let go of. */
  dropped: number;
}

export class MessageReader {
  readonly #options: MessageReaderOptions;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #head: Head | undefined;

  constructor(options: MessageReaderOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    for (;;) {
      this.#head ??= this.#readHead();
      if (this.#head === undefined || !this.#finish(this.#head)) return;
      this.#head = undefined;
    }
  }

  #readHead(): Head | undefined {
    if (this.#buffered < 5) return undefined;
    const length = this.#peek(5).readUInt32BE(1);
    const needed = length < keyBytes ? length : headBytes;
    if (this.#buffered < 5 + needed) return undefined;
    const begin = this.#peek(5 + needed).subarray(5, 5 + needed);
    const { cache, scope } = this.#options;
    const key = cache.formatKey(scope, begin, length);
    this.#drop(5);
    return { length, key, known: cache.find(key), dropped: 0 };
  }

  /** True where the message was whole and is dealt with. */
  #finish(head: Head): boolean {
    const { length, key, known } = head;
    if (known !== undefined && head.dropped < known.nonceAt) {
      const count = Math.min(this.#buffered, known.nonceAt - head.dropped);
      this.#drop(count);
      head.dropped += count;
    }
    const missing = length - head.dropped;
    if (this.#buffered < missing) return false;
    const { cache, onMessage } = this.#options;
    const rest = missing === 0 ? Buffer.alloc(0) : this.#peek(missing).subarray(0, missing);
    const digest = known ?? cache.read(key, rest);
    const nonce = digest === undefined ? "" : readNonce(rest, digest.nonceAt - head.dropped);
    this.#drop(missing);
    if (digest !== undefined) onMessage({ digest, nonce, bytes: length });
    return true;
  }

  /** At least `count` bytes in one piece; there must be so many. */
  #peek(count: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= count) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  #drop(count: number): void {
    this.#buffered -= count;
    let left = count;
    while (left > 0) {
      const first = this.#chunks[0];
      if (first === undefined) return;
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#chunks.shift();
    }
  }
}

const nonceTag = 5 * 8 + 2;

/** Throws where there is none: two responses that were taken for the same differ. */
function readNonce(bytes: Buffer, at: number): string {
  if (bytes[at] !== nonceTag) throw new Error("responses that begin alike are not laid out alike");
  const length = readVarint(bytes, at + 1);
  return readText(bytes, { start: length.end, end: length.end + length.value });
}
