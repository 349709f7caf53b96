/** Messages of gRPC within the bytes of a stream: one byte that says whether it is compressed, four of length, the message. */
import { gunzipSync, inflateSync } from "node:zlib";
import { SharedFrames } from "@meltemi/http2/shared-frames";
import type { Status } from "./transport.ts";

/** What a client may compress its messages with. */
export type MessageEncoding = "identity" | "gzip" | "deflate";

/** For the header "grpc-accept-encoding". */
export const acceptedEncodings = "identity,gzip,deflate";

const headLength = 5;
const empty = Buffer.alloc(0);

/** The five bytes before a message of this length that is not compressed. */
export function encodeMessageHead(length: number): Buffer {
  const head = Buffer.alloc(headLength);
  head.writeUInt32BE(length, 1);
  return head;
}

/** Shorter messages are copied for each call: that costs less than to look them up. */
const leastSharedBytes = 16_384;

/**
 * Messages in the frames in which they go to many calls, as long as the message itself is kept. The first call gets it as it
 * is: many a message is for one client alone.
 */
export class SharedMessages {
  readonly #frames = new WeakMap<Uint8Array, Map<number, SharedFrames>>();

  /** The frames of a message for streams of this number; undefined where it is to be sent by itself. */
  find(bytes: Uint8Array, stream: number): SharedFrames | undefined {
    if (bytes.length < leastSharedBytes) return undefined;
    const known = this.#frames.get(bytes);
    if (known === undefined) {
      this.#frames.set(bytes, new Map());
      return undefined;
    }
    const frames = known.get(stream);
    if (frames !== undefined || known.size >= mostNumbers) return frames;
    const made = new SharedFrames(stream, [encodeMessageHead(bytes.length), bytes]);
    known.set(stream, made);
    return made;
  }
}

/** Stream numbers for which the frames of a message are made: nearly all clients ask on the first stream of a connection. */
const mostNumbers = 2;

/** The encoding that a header "grpc-encoding" names; undefined for one that is not taken. */
export function readEncoding(name: string | undefined): MessageEncoding | undefined {
  if (name === undefined || name === "identity") return "identity";
  return name === "gzip" || name === "deflate" ? name : undefined;
}

export interface MessageReaderOptions {
  readonly encoding: MessageEncoding;
  /** Largest message in bytes, compressed or not. */
  readonly maxBytes: number;
  readonly memory: MessageMemory;
}

/** Shorter pieces get memory of just their size. */
const leastPooledBytes = 4096;
/** Sizes of memory that is used again; larger messages get their own. */
const pooledSizes: readonly number[] = [64 * 1024, 256 * 1024, 1024 * 1024];
/** Bytes of each size that are kept for the next message. */
const mostKeptBytes = 1024 * 1024;

/**
 * Where messages that come in several pieces are put together, for all readers of a server: a thousand proxies that
 * acknowledge at once would otherwise need 40 kB each for an instant, and the system's allocator most of the time.
 */
export class MessageMemory {
  readonly #kept = new Map<number, Buffer[]>(pooledSizes.map((size) => [size, []]));

  /** Memory of at least so many bytes. */
  take(bytes: number): Buffer {
    const size = bytes < leastPooledBytes ? bytes : (pooledSizes.find((pooled) => pooled >= bytes) ?? bytes);
    return this.#kept.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  giveBack(memory: Buffer): void {
    const kept = this.#kept.get(memory.length);
    if (kept !== undefined && (kept.length + 1) * memory.length <= mostKeptBytes) kept.push(memory);
  }
}

/** Cuts a stream of bytes into messages. Until it is started it only keeps them. */
export class MessageReader {
  readonly #options: MessageReaderOptions;
  #onMessage: ((message: Uint8Array) => void) | undefined;
  /** What came of a message that is not whole; before the start of all. */
  #memory: Buffer = empty;
  #held = 0;
  /** Bytes of the message with its head, or of the head until that is whole. */
  #wanted = headLength;

  constructor(options: MessageReaderOptions) {
    this.#options = options;
  }

  /** Hands on what came so far, and what comes. The bytes of a message are only there during the call. Answers as `push`. */
  start(onMessage: (message: Uint8Array) => void): Status | undefined {
    this.#onMessage = onMessage;
    const memory = this.#memory;
    const held = memory.subarray(0, this.#held);
    this.#memory = empty;
    this.#held = 0;
    try {
      return this.push(held);
    } finally {
      this.#options.memory.giveBack(memory);
    }
  }

  /**
   * Takes bytes, which may be gone after the call, and hands on the messages that they complete. Answers what ends the call:
   * a message that is not taken.
   */
  push(piece: Buffer): Status | undefined {
    if (this.#onMessage === undefined) {
      this.#keep(piece, this.#held + piece.length);
      return undefined;
    }
    for (let at = 0; at < piece.length; ) {
      const end = this.#held === 0 ? endOfMessage(piece, at) : undefined;
      if (end !== undefined && end <= piece.length) {
        // One that came whole needs no memory.
        const problem = this.#checkLength(end - at - headLength) ?? this.#deliver(piece.subarray(at, end));
        if (problem !== undefined) return problem;
        at = end;
        continue;
      }
      const taken = Math.min(this.#wanted - this.#held, piece.length - at);
      const problem = this.#gather(piece.subarray(at, at + taken));
      if (problem !== undefined) return problem;
      at += taken;
    }
    return undefined;
  }

  /** True where a message has begun and is not complete. */
  get isInMessage(): boolean {
    return this.#held > 0;
  }

  /** Nothing follows. */
  close(): void {
    this.#options.memory.giveBack(this.#memory);
    this.#memory = empty;
    this.#held = 0;
  }

  /** Adds bytes to the message that is not whole, of which there are not more than it wants. */
  #gather(bytes: Buffer): Status | undefined {
    this.#keep(bytes, this.#wanted);
    if (this.#held === headLength) {
      const length = this.#memory.readUInt32BE(1);
      const problem = this.#checkLength(length);
      if (problem !== undefined) return problem;
      this.#wanted = headLength + length;
    }
    if (this.#held < this.#wanted) return undefined;
    const memory = this.#memory;
    const message = memory.subarray(0, this.#held);
    this.#memory = empty;
    this.#held = 0;
    this.#wanted = headLength;
    try {
      return this.#deliver(message);
    } finally {
      this.#options.memory.giveBack(memory);
    }
  }

  /** Keeps bytes, where some `expected` in all are to come: a client that only promises much gets little memory. */
  #keep(bytes: Buffer, expected: number): void {
    const needed = this.#held + bytes.length;
    if (needed > this.#memory.length) {
      const { memory } = this.#options;
      const before = this.#memory;
      this.#memory = memory.take(Math.max(needed, Math.min(expected, Math.max(pooledSizes[0] ?? 0, needed * 2))));
      before.copy(this.#memory, 0, 0, this.#held);
      memory.giveBack(before);
    }
    bytes.copy(this.#memory, this.#held);
    this.#held = needed;
  }

  #checkLength(length: number): Status | undefined {
    const { maxBytes } = this.#options;
    return length <= maxBytes ? undefined : tooLarge(`${length} bytes`, maxBytes);
  }

  /** `whole` is the message with its head. */
  #deliver(whole: Buffer): Status | undefined {
    const { encoding, maxBytes } = this.#options;
    const flag = whole[0];
    const message = whole.subarray(headLength);
    if (flag === 0) {
      this.#onMessage?.(message);
      return undefined;
    }
    if (flag !== 1 || encoding === "identity") {
      return { code: "INTERNAL", details: "a message is compressed and does not say how" };
    }
    try {
      this.#onMessage?.((encoding === "gzip" ? gunzipSync : inflateSync)(message, { maxOutputLength: maxBytes }));
      return undefined;
    } catch (cause) {
      const isTooLarge = cause instanceof RangeError;
      return isTooLarge ? tooLarge("more", maxBytes) : { code: "INTERNAL", details: `a message is no ${encoding}` };
    }
  }
}

/** Where the message ends that begins at `at`; undefined where not all of its head is there. */
function endOfMessage(bytes: Buffer, at: number): number | undefined {
  return bytes.length - at < headLength ? undefined : at + headLength + bytes.readUInt32BE(at + 1);
}

function tooLarge(size: string, maxBytes: number): Status {
  return { code: "RESOURCE_EXHAUSTED", details: `a message has ${size}, more than the ${maxBytes} that are taken` };
}
