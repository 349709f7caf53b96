/**
 * Cuts a gRPC stream into messages (five bytes of head: compression flag and big-endian length). Of a message that another
 * proxy has got already only the nonce is looked at; the rest is let go of as it comes.
 */
import { type DigestCache, headBytes, keyBytes } from "./digest-cache.ts";
import type { ResponseDigest } from "./response-digest.ts";
import { encodeVarint, readText, readVarint } from "./wire-fields.ts";

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
  known: ResponseDigest | undefined;
  /** Bytes of the message that were let go of. */
  dropped: number;
  /** "" as long as it has not come. */
  nonce: string;
}

export class MessageReader {
  readonly #options: MessageReaderOptions;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #head: Head | undefined;

  constructor(options: MessageReaderOptions) {
    this.#options = options;
  }

  /** `chunk` is valid only until this returns. */
  push(chunk: Buffer): void {
    const head = this.#head;
    if (head !== undefined && head.nonce !== "" && chunk.length < head.length - head.dropped) {
      // Most of what comes: bytes of a message that is known.
      head.dropped += chunk.length;
      return;
    }
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#read();
    const last = this.#chunks.at(-1);
    if (last !== undefined) this.#chunks[this.#chunks.length - 1] = Buffer.from(last);
  }

  #read(): void {
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
    return { length, key, known: cache.find(key), dropped: 0, nonce: "" };
  }

  /** True where the message was whole and is dealt with. */
  #finish(head: Head): boolean {
    const { length, key } = head;
    const { cache, onMessage } = this.#options;
    // A thousand proxies are in the midst of the same message: once one of them has it, the others need not keep theirs.
    head.known ??= cache.find(key);
    const { known } = head;
    if (known !== undefined) {
      this.#skip(head, known);
      if (head.dropped < length) return false;
      onMessage({ digest: known, nonce: head.nonce, bytes: length });
      return true;
    }
    if (this.#buffered < length) return false;
    const message = length === 0 ? Buffer.alloc(0) : this.#peek(length).subarray(0, length);
    const digest = cache.read(key, message);
    this.#drop(length);
    if (digest !== undefined) onMessage({ digest, nonce: digest.nonce, bytes: length });
    return true;
  }

  /** Lets go of what came of a message, except for its nonce. */
  #skip(head: Head, { nonceAt, nonce }: ResponseDigest): void {
    this.#dropTo(head, nonceAt);
    if (head.dropped < nonceAt) return;
    if (head.nonce === "") {
      // As long as that of the first proxy's message: the whole messages are of the same length.
      const needed = nonceFieldBytes(nonce);
      if (this.#buffered < needed) return;
      head.nonce = readNonce(this.#peek(needed));
    }
    this.#dropTo(head, head.length);
  }

  #dropTo(head: Head, position: number): void {
    const count = Math.min(this.#buffered, position - head.dropped);
    if (count <= 0) return;
    this.#drop(count);
    head.dropped += count;
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

function nonceFieldBytes(nonce: string): number {
  return 1 + encodeVarint(Buffer.byteLength(nonce)).length + Buffer.byteLength(nonce);
}

/** Throws where there is none: two responses that were taken for the same differ. */
function readNonce(bytes: Buffer): string {
  if (bytes[0] !== nonceTag) throw new Error("responses that begin alike are not laid out alike");
  const length = readVarint(bytes, 1);
  return readText(bytes, { start: length.end, end: length.end + length.value });
}
