/** Reads encoded messages without decoding them: as much as a client needs that must stay cheaper than its server. */

/** Where the value of a length-delimited field lies. */
export interface FieldRange {
  readonly field: number;
  readonly start: number;
  readonly end: number;
}

/** A number field; 64-bit values beyond 2^53 lose their last bits. */
export interface FieldNumber {
  readonly field: number;
  readonly value: number;
}

export interface FieldVisitor {
  readonly onBytes: (range: FieldRange) => void;
  readonly onNumber?: (number: FieldNumber) => void;
}

/** Visits the fields of the message between two positions. Throws where the bytes are no message. */
export function visitFields(
  bytes: Buffer,
  range: Omit<FieldRange, "field">,
  { onBytes, onNumber }: FieldVisitor,
): void {
  let at = range.start;
  while (at < range.end) {
    const tag = readVarint(bytes, at);
    const field = Math.floor(tag.value / 8);
    switch (tag.value % 8) {
      case 0: {
        const number = readVarint(bytes, tag.end);
        onNumber?.({ field, value: number.value });
        at = number.end;
        break;
      }
      case 1:
        at = tag.end + 8;
        break;
      case 2: {
        const length = readVarint(bytes, tag.end);
        at = length.end + length.value;
        if (at > range.end) throw new Error(`field ${field} at byte ${tag.end} is longer than its message`);
        onBytes({ field, start: length.end, end: at });
        break;
      }
      case 5:
        at = tag.end + 4;
        break;
      default:
        throw new Error(`byte ${at} begins no field`);
    }
  }
}

/** The first value of a length-delimited field; undefined where there is none. */
export function findField(bytes: Buffer, range: Omit<FieldRange, "field">, field: number): FieldRange | undefined {
  let found: FieldRange | undefined;
  visitFields(bytes, range, {
    onBytes: (value) => {
      if (value.field === field) found ??= value;
    },
  });
  return found;
}

/** All values at the end of a path of length-delimited fields. */
export function listAtPath(
  bytes: Buffer,
  range: Omit<FieldRange, "field">,
  path: readonly number[],
): readonly FieldRange[] {
  const [first, ...rest] = path;
  const found: FieldRange[] = [];
  visitFields(bytes, range, {
    onBytes: (value) => {
      if (value.field !== first) return;
      if (rest.length === 0) found.push(value);
      else found.push(...listAtPath(bytes, value, rest));
    },
  });
  return found;
}

export function readText(bytes: Buffer, range: Omit<FieldRange, "field"> | undefined): string {
  return range === undefined ? "" : bytes.toString("utf8", range.start, range.end);
}

export function readVarint(bytes: Buffer, start: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let factor = 1;
  for (let at = start; at < start + 10; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, end: at + 1 };
    factor *= 128;
  }
  throw new Error(`no number at byte ${start}`);
}

/** A number as it stands in a message. */
export function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}
