import protobuf from "protobufjs/light.js";
import { WIRE_DELIMITED } from "./field-traits.ts";
import { ProtoError } from "./proto-error.ts";
import { concatBytes } from "./wire.ts";

/** A field as it stands in an encoded message. Bytes are views. */
export interface WireField {
  readonly number: number;
  /** With its tag, so that such parts put together are a message again. */
  readonly whole: Uint8Array;
  /** What a message, a text or bytes consist of; undefined for numbers. */
  readonly content: Uint8Array | undefined;
}

/**
 * The outermost fields of an encoded message, one after the other: a long message need not be decoded in one go. Throws
 * `ProtoError` when it comes to bytes that are no field.
 */
export function* listFields(bytes: Uint8Array): Generator<WireField, void, undefined> {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) yield readField(reader, bytes);
}

/**
 * The same of a message that lies in pieces, however they were cut: only a field that goes over the end of a piece is put
 * together, all others are views into theirs.
 */
export function* listFieldsOf(pieces: Iterable<Uint8Array>): Generator<WireField, void, undefined> {
  const begun = new BegunField();
  for (const piece of pieces) {
    const taken = begun.take(piece);
    if (!begun.isWhole) continue;
    yield* listFields(begun.join());
    const rest = piece.subarray(taken);
    const end = yield* listWhole(rest);
    begun.begin(rest.subarray(end));
  }
  // Where something is left, this says what is wrong with it.
  yield* listFields(begun.join());
}

/** Returns the place of what is no whole field: cut off there, or no field at all, which shows when the rest has come. */
function* listWhole(bytes: Uint8Array): Generator<WireField, number, undefined> {
  const reader = protobuf.Reader.create(bytes);
  for (;;) {
    const start = reader.pos;
    if (start === reader.len) return start;
    let field: WireField;
    try {
      field = readField(reader, bytes);
    } catch {
      return start;
    }
    yield field;
  }
}

/** At least as many bytes as a tag and a length or a number can have. */
const mostHeadBytes = 20;

/** A field of which a piece had the beginning alone. */
class BegunField {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  /** Infinity where that cannot be told: it goes on to the message's end. */
  #wholeBytes = 0;

  get isWhole(): boolean {
    return this.#bytes >= this.#wholeBytes;
  }

  /** Nothing is a beginning, too: that of no field. */
  begin(part: Uint8Array): void {
    this.#parts = [part];
    this.#bytes = part.length;
    this.#wholeBytes = part.length === 0 ? 0 : measureField(part.subarray(0, mostHeadBytes));
  }

  /** What of the next piece belongs to it, in bytes. */
  take(piece: Uint8Array): number {
    if (this.#bytes > 0 && this.#bytes < mostHeadBytes) {
      this.#wholeBytes = measureField(concatBytes([...this.#parts, piece.subarray(0, mostHeadBytes)]));
    }
    const part = piece.subarray(0, Math.max(0, this.#wholeBytes - this.#bytes));
    this.#parts.push(part);
    this.#bytes += part.length;
    return part.length;
  }

  join(): Uint8Array {
    return concatBytes(this.#parts);
  }
}

function measureField(head: Uint8Array): number {
  const reader = protobuf.Reader.create(head);
  try {
    const tag = reader.tag();
    if ((tag & 7) === WIRE_DELIMITED) return reader.size() + reader.pos;
    reader.skipType(tag & 7, 0, tag >>> 3);
    return reader.pos;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function readField(reader: protobuf.Reader, bytes: Uint8Array): WireField {
  const start = reader.pos;
  let contentStart: number | undefined;
  let number: number;
  try {
    const tag = reader.tag();
    number = tag >>> 3;
    if ((tag & 7) === WIRE_DELIMITED) {
      const length = reader.size();
      contentStart = reader.pos;
      reader.skip(length);
    } else reader.skipType(tag & 7, 0, number);
  } catch (cause) {
    throw cause instanceof Error ? new ProtoError("", cause.message) : cause;
  }
  const content = contentStart === undefined ? undefined : bytes.subarray(contentStart, reader.pos);
  return { number, whole: bytes.subarray(start, reader.pos), content };
}
