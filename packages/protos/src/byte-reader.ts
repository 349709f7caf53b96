import { ProtoError } from "./proto-error.ts";

/** Up to this length a string of ASCII is read by a loop, which beats the call into native code. */
const SHORT_STRING = 12;

/**
 * Reads protobuf wire primitives from a part of a buffer. Every method throws `ProtoError` when the bytes end too
 * early, so that a truncated or hostile message can never be taken for a shorter one.
 */
export class ByteReader {
  position: number;
  readonly end: number;
  private readonly buffer: Buffer;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    this.end = end;
  }

  /** The low 32 bits of a varint, unsigned. */
  varint(): number {
    let result = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.byte();
      if (shift < 32) result |= (byte & 127) << shift;
      if (byte < 128) return result >>> 0;
    }
    throw new ProtoError("", "varint longer than ten bytes");
  }

  /** A varint as an unsigned 64-bit integer. */
  varint64(): bigint {
    let result = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      result |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, result);
    }
    throw new ProtoError("", "varint longer than ten bytes");
  }

  fixed32(): number {
    return this.buffer.readUInt32LE(this.advance(4));
  }

  fixed64(): bigint {
    return this.buffer.readBigUInt64LE(this.advance(8));
  }

  float(): number {
    return this.buffer.readFloatLE(this.advance(4));
  }

  double(): number {
    return this.buffer.readDoubleLE(this.advance(8));
  }

  string(): string {
    const length = this.varint();
    const start = this.advance(length);
    if (length <= SHORT_STRING) {
      const short = this.shortAscii(start, length);
      if (short !== undefined) return short;
    }
    return this.buffer.toString("utf8", start, start + length);
  }

  /** Length-prefixed bytes, as a view of the input. */
  bytes(): Uint8Array {
    const length = this.varint();
    const start = this.advance(length);
    return new Uint8Array(this.buffer.buffer, this.buffer.byteOffset + start, length);
  }

  /** A reader of the next length-delimited part, which this reader steps over. */
  part(): ByteReader {
    const length = this.varint();
    const start = this.advance(length);
    return new ByteReader(this.buffer, start, start + length);
  }

  /** Steps over a field of the given wire type whose tag was just read. */
  skip(wireType: number): void {
    if (wireType === 0) this.varint64();
    else if (wireType === 1) this.advance(8);
    else if (wireType === 2) this.advance(this.varint());
    else if (wireType === 5) this.advance(4);
    else throw new ProtoError("", `wire type ${wireType} is not in use`);
  }

  private shortAscii(start: number, length: number): string | undefined {
    let text = "";
    for (let index = start; index < start + length; index++) {
      const code = this.buffer[index] ?? 128;
      if (code > 127) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  private byte(): number {
    const byte = this.position < this.end ? this.buffer[this.position] : undefined;
    if (byte === undefined) throw new ProtoError("", "the bytes end within a field");
    this.position++;
    return byte;
  }

  private advance(length: number): number {
    const start = this.position;
    if (length > this.end - start) throw new ProtoError("", "the bytes end within a field");
    this.position = start + length;
    return start;
  }
}
