/** Messages of gRPC within the bytes of a stream: one byte that says whether it is compressed, four of length, the message. */
import { gunzipSync, inflateSync } from "node:zlib";
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

/** The encoding that a header "grpc-encoding" names; undefined for one that is not taken. */
export function readEncoding(name: string | undefined): MessageEncoding | undefined {
  if (name === undefined || name === "identity") return "identity";
  return name === "gzip" || name === "deflate" ? name : undefined;
}

export interface MessageReaderOptions {
  readonly encoding: MessageEncoding;
  /** Largest message in bytes, compressed or not. */
  readonly maxBytes: number;
  readonly joint: JointBuffer;
  /** The bytes are only there during the call. */
  readonly onMessage: (message: Uint8Array) => void;
}

/** Larger messages get memory of their own. */
const mostJointBytes = 1024 * 1024;

/**
 * Where messages that came in several pieces are put together, for all readers of a server: a thousand proxies that
 * acknowledge at once would otherwise need 40 kB each for an instant, and the system's allocator most of the time.
 */
export class JointBuffer {
  #bytes = Buffer.alloc(0);

  /** The first `length` bytes of `chunks`, until the next call. */
  join(chunks: readonly Buffer[], length: number): Buffer {
    if (length > mostJointBytes) return Buffer.concat(chunks, length);
    if (this.#bytes.length < length) this.#bytes = Buffer.allocUnsafeSlow(Math.min(length * 2, mostJointBytes));
    let place = 0;
    for (const chunk of chunks) place += chunk.copy(this.#bytes, place, 0, length - place);
    return this.#bytes.subarray(0, length);
  }
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  readonly #options: MessageReaderOptions;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(options: MessageReaderOptions) {
    this.#options = options;
  }

  /** Takes bytes and hands on the messages that they complete. Answers what ends the call: a message that is not taken. */
  push(chunk: Buffer): Status | undefined {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= headLength) {
      const length = this.#readLength();
      const problem = this.#checkLength(length);
      if (problem !== undefined) return problem;
      if (this.#length < headLength + length) return undefined;
      const whole = this.#take(headLength + length);
      const refused = this.#deliver(whole[0] ?? 0, whole.subarray(headLength));
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  /** True where a message has begun and is not complete. */
  get isInMessage(): boolean {
    return this.#length > 0;
  }

  #readLength(): number {
    const [first] = this.#chunks;
    const head = first !== undefined && first.length >= headLength ? first : Buffer.concat(this.#chunks, headLength);
    return head.readUInt32BE(1);
  }

  /** Cuts off so many bytes, in one piece. */
  #take(length: number): Buffer {
    const chunks = this.#chunks;
    const [first] = chunks;
    const taken =
      first !== undefined && first.length >= length
        ? first.subarray(0, length)
        : this.#options.joint.join(chunks, length);
    this.#length -= length;
    let rest = length;
    let whole = 0;
    for (; rest > 0 && rest >= (chunks[whole]?.length ?? 0); whole++) rest -= chunks[whole]?.length ?? rest;
    chunks.splice(0, whole);
    if (rest > 0) chunks[0] = chunks[0]?.subarray(rest) ?? empty;
    return taken;
  }

  #checkLength(length: number): Status | undefined {
    const { maxBytes } = this.#options;
    return length <= maxBytes ? undefined : tooLarge(`${length} bytes`, maxBytes);
  }

  #deliver(flag: number, message: Buffer): Status | undefined {
    const { encoding, maxBytes, onMessage } = this.#options;
    if (flag === 0) {
      onMessage(message);
      return undefined;
    }
    if (flag !== 1 || encoding === "identity") {
      return { code: "INTERNAL", details: "a message is compressed and does not say how" };
    }
    try {
      onMessage((encoding === "gzip" ? gunzipSync : inflateSync)(message, { maxOutputLength: maxBytes }));
      return undefined;
    } catch (cause) {
      const isTooLarge = cause instanceof RangeError;
      return isTooLarge ? tooLarge("more", maxBytes) : { code: "INTERNAL", details: `a message is no ${encoding}` };
    }
  }
}

function tooLarge(size: string, maxBytes: number): Status {
  return { code: "RESOURCE_EXHAUSTED", details: `a message has ${size}, more than the ${maxBytes} that are taken` };
}
