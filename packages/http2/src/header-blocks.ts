/** Puts header blocks together from HEADERS and CONTINUATION frames, and unpacks them (RFC 9113, section 4.3). */
import { ConnectionError, errorCodes, protocolError } from "./error-codes.ts";
import { FloodError } from "./flood-guard.ts";
import { defaultFrameBytes, type FrameHead, frameFlags, frameTypes } from "./frame-types.ts";
import { type DecodedBlock, HpackDecoder } from "./hpack/decoder.ts";
import { HpackError } from "./hpack/hpack-error.ts";

export interface BlockLimits {
  /** Bytes of names and values. */
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
}

/** A block, and what the frame says in which it began. */
export interface HeaderBlock extends DecodedBlock {
  readonly stream: number;
  readonly isEnd: boolean;
}

/** Frames that may follow HEADERS, however short they are. */
const leastContinuations = 128;
const entryBytes = 32;
const priorityBytes = 5;

export class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  readonly #maxBytes: number;
  readonly #maxBlockBytes: number;
  readonly #maxContinuations: number;
  #pieces: Buffer[] | undefined;
  #pieceBytes = 0;
  #stream = 0;
  #isEnd = false;

  constructor(tableBytes: number, { maxHeadBytes, maxHeaders }: BlockLimits) {
    this.#decoder = new HpackDecoder(tableBytes);
    this.#maxBytes = maxHeadBytes + (maxHeaders + 1) * entryBytes;
    // What is longer than that is refused, but has to be read for the table's sake, up to where it costs the connection.
    this.#maxBlockBytes = 2 * this.#maxBytes + 4 * defaultFrameBytes;
    this.#maxContinuations = Math.max(leastContinuations, Math.ceil(this.#maxBlockBytes / defaultFrameBytes));
  }

  onSettingsTaken(): void {
    this.#decoder.onSettingsTaken();
  }

  /** A HEADERS or CONTINUATION frame: the block where it is whole. Throws ConnectionError. */
  take(head: FrameHead, payload: Buffer): HeaderBlock | undefined {
    const isWhole = (head.flags & frameFlags.endHeaders) !== 0;
    if (head.type === frameTypes.headers) {
      this.#stream = head.stream;
      this.#isEnd = (head.flags & frameFlags.endStream) !== 0;
      const fragment = stripHeaders(head, payload);
      if (isWhole) return this.#decode(fragment);
      this.#pieces = [];
      this.#pieceBytes = 0;
      this.#add(fragment);
      return undefined;
    }
    this.#add(payload);
    if (!isWhole) return undefined;
    const block = Buffer.concat(this.#pieces ?? []);
    this.#pieces = undefined;
    return this.#decode(block);
  }

  #add(fragment: Buffer): void {
    const pieces = this.#pieces ?? [];
    // A copy: what it is a part of may be larger by far, and is not to be held for it.
    pieces.push(Buffer.from(fragment));
    this.#pieceBytes += fragment.length;
    if (this.#pieceBytes > this.#maxBlockBytes) throw new FloodError("a header block without end");
    if (pieces.length > this.#maxContinuations + 1) throw new FloodError("too many CONTINUATION frames");
  }

  #decode(block: Buffer): HeaderBlock {
    try {
      const decoded = this.#decoder.decode(block, this.#maxBytes);
      const { raw, bytes, isTooLarge } = decoded;
      return { raw, bytes, isTooLarge, stream: this.#stream, isEnd: this.#isEnd };
    } catch (cause: unknown) {
      if (cause instanceof HpackError) throw new ConnectionError(errorCodes.compression, cause.message);
      throw cause;
    }
  }
}

/** The fragment of the block in a HEADERS frame, without padding and priority (RFC 9113, section 6.2). */
function stripHeaders({ flags, stream }: FrameHead, payload: Buffer): Buffer {
  if ((flags & (frameFlags.padded | frameFlags.priority)) === 0) return payload;
  let start = 0;
  let end = payload.length;
  if ((flags & frameFlags.padded) !== 0) {
    end -= payload[0] ?? 0;
    start = 1;
  }
  if ((flags & frameFlags.priority) !== 0) {
    if (end - start < priorityBytes) throw new ConnectionError(errorCodes.frameSize, "HEADERS: no priority");
    checkDependency(payload.readUInt32BE(start), stream);
    start += priorityBytes;
  }
  if (end < start) throw protocolError("HEADERS: more padding than payload");
  return payload.subarray(start, end);
}

/** RFC 7540, section 5.3.1: no stream depends on itself. Priorities mean nothing else any more (RFC 9113, section 5.3). */
export function checkDependency(word: number, stream: number): void {
  if ((word & 0x7fffffff) === stream) throw protocolError("a stream that depends on itself");
}
