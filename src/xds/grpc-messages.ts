/** Messages of gRPC within the bytes of a stream: one byte that says whether it is compressed, four of length, the message. */
import { gunzipSync, inflateSync } from "node:zlib";
import type { Status } from "./transport.ts";

/** What a client may compress its messages with. */
export type MessageEncoding = "identity" | "gzip" | "deflate";

/** For the header "grpc-accept-encoding". */
export const acceptedEncodings = "identity,gzip,deflate";

const headLength = 5;

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
  readonly onMessage: (message: Uint8Array) => void;
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  readonly #options: MessageReaderOptions;
  #chunks: Buffer[] = [];
  #length = 0;

  constructor(options: MessageReaderOptions) {
    this.#options = options;
  }

  /** Takes bytes and hands on the messages that they complete. Answers what ends the call: a message that is not taken. */
  push(chunk: Buffer): Status | undefined {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= headLength) {
      const head = this.#join();
      const length = head.readUInt32BE(1);
      const problem = this.#checkLength(length);
      if (problem !== undefined) return problem;
      if (head.length < headLength + length) return undefined;
      this.#chunks = [head.subarray(headLength + length)];
      this.#length = head.length - headLength - length;
      const refused = this.#deliver(head[0] ?? 0, head.subarray(headLength, headLength + length));
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  /** True where a message has begun and is not complete. */
  get isInMessage(): boolean {
    return this.#length > 0;
  }

  /** All bytes in one piece as soon as the length is known and they are there; before, as few as tell the length. */
  #join(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= headLength) {
      const isWhole = this.#length >= headLength + first.readUInt32BE(1);
      if (!isWhole || this.#chunks.length === 1) return first;
    }
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
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
