const INITIAL_CAPACITY = 64 * 1024;
/** Up to this length a string is copied by a loop, which beats the call into native code. */
const SHORT_STRING = 24;
/** A UTF-16 unit takes at most three bytes of UTF-8; beyond this the length prefix may need two bytes. */
const MAX_ONE_BYTE_LENGTH_UNITS = 42;

/**
 * Appends protobuf wire primitives to one growing buffer. A length-delimited part is written after a one-byte gap,
 * which is widened only when the part turns out longer than 127 bytes, so that nothing needs measuring beforehand.
 */
export class ByteWriter {
  private buffer = Buffer.allocUnsafeSlow(INITIAL_CAPACITY);
  private position = 0;

  reset(): void {
    this.position = 0;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return new Uint8Array(this.buffer.subarray(0, this.position));
  }

  /** Unsigned 32-bit varint. */
  varint(value: number): void {
    this.reserve(5);
    if (value < 128 && value >= 0) {
      this.buffer[this.position++] = value;
      return;
    }
    let rest = value >>> 0;
    while (rest > 127) {
      this.buffer[this.position++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.buffer[this.position++] = rest;
  }

  /** 64-bit varint; a negative value takes its two's complement form of ten bytes. */
  varint64(value: bigint): void {
    this.reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      this.buffer[this.position++] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.buffer[this.position++] = Number(rest);
  }

  fixed32(value: number): void {
    this.reserve(4);
    this.position = this.buffer.writeUInt32LE(value >>> 0, this.position);
  }

  fixed64(value: bigint): void {
    this.reserve(8);
    this.position = this.buffer.writeBigUInt64LE(BigInt.asUintN(64, value), this.position);
  }

  float(value: number): void {
    this.reserve(4);
    this.position = this.buffer.writeFloatLE(value, this.position);
  }

  double(value: number): void {
    this.reserve(8);
    this.position = this.buffer.writeDoubleLE(value, this.position);
  }

  /** Length-prefixed UTF-8. */
  string(value: string): void {
    const units = value.length;
    if (units <= SHORT_STRING && this.shortAscii(value)) return;
    if (units <= MAX_ONE_BYTE_LENGTH_UNITS) {
      this.reserve(1 + units * 3);
      const written = this.buffer.write(value, this.position + 1, "utf8");
      this.buffer[this.position] = written;
      this.position += 1 + written;
      return;
    }
    const length = Buffer.byteLength(value, "utf8");
    this.varint(length);
    this.reserve(length);
    this.position += this.buffer.write(value, this.position, "utf8");
  }

  /** Length-prefixed bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** Bytes that are already in wire form. */
  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }

  /** Opens a length-delimited part; give the result to `close`. */
  open(): number {
    this.reserve(1);
    this.position += 1;
    return this.position;
  }

  close(start: number): void {
    const length = this.position - start;
    if (length < 128) {
      this.buffer[start - 1] = length;
      return;
    }
    const extra = varintSize(length) - 1;
    this.reserve(extra);
    this.buffer.copyWithin(start + extra, start, this.position);
    const end = this.position + extra;
    this.position = start - 1;
    this.varint(length);
    this.position = end;
  }

  /** Writes a string of ASCII alone; leaves no trace and returns false when it meets anything else. */
  private shortAscii(value: string): boolean {
    const units = value.length;
    this.reserve(1 + units);
    const start = this.position + 1;
    for (let index = 0; index < units; index++) {
      const code = value.charCodeAt(index);
      if (code > 127) return false;
      this.buffer[start + index] = code;
    }
    this.buffer[this.position] = units;
    this.position = start + units;
    return true;
  }

  private reserve(size: number): void {
    const needed = this.position + size;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) size++;
  return size;
}
