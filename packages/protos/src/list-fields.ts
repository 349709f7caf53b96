import protobuf from "protobufjs/light.js";
import { WIRE_DELIMITED } from "./field-traits.ts";
import { ProtoError } from "./proto-error.ts";

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
  while (reader.pos < reader.len) {
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
    yield { number, whole: bytes.subarray(start, reader.pos), content };
  }
}
