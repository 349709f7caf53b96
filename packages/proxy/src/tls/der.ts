/** Reads ASN.1 in its distinguished form, as far as certificates need it. */
export interface DerValue {
  /** The whole identifier octet: class, constructed bit and number. */
  readonly tag: number;
  readonly body: Buffer;
}

/** The values that follow each other in `bytes`. RangeError where they are broken. */
export function readDer(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const tag = bytes.readUInt8(offset);
    const { length, start } = readLength(bytes, offset + 1);
    if (start + length > bytes.length) throw new RangeError("a value is longer than what holds it");
    values.push({ tag, body: bytes.subarray(start, start + length) });
    offset = start + length;
  }
  return values;
}

function readLength(bytes: Buffer, offset: number): { readonly length: number; readonly start: number } {
  const first = bytes.readUInt8(offset);
  if (first < 0x80) return { length: first, start: offset + 1 };
  const size = first & 0x7f;
  if (size === 0 || size > 4) throw new RangeError("a length that is not definite");
  return { length: bytes.readUIntBE(offset + 1, size), start: offset + 1 + size };
}

/** An object identifier as "2.5.29.17". */
export function formatOid(body: Buffer): string {
  const first = body[0] ?? 0;
  const parts = [Math.min(2, Math.floor(first / 40)), first - 40 * Math.min(2, Math.floor(first / 40))];
  let value = 0;
  for (const byte of body.subarray(1)) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      parts.push(value);
      value = 0;
    }
  }
  return parts.join(".");
}
