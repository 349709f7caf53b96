/** Fields of requests as they lie on the wire: all of them are texts or messages, with numbers below 16. */

const delimited = 2;
const longestLength = 28;

/** The number of the field that begins at `at`. */
export function fieldNumber(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) >> 3;
}

/** Where the content of the field begins that begins at `at`; undefined for one that requests of today do not have. */
export function startOfContent(bytes: Uint8Array, at: number): number | undefined {
  const tag = bytes[at] ?? 0;
  if (tag >= 0x80 || (tag & 7) !== delimited) return undefined;
  for (let position = at + 1; position <= at + 5; position += 1) if ((bytes[position] ?? 0) < 0x80) return position + 1;
  return undefined;
}

/** Where it ends; undefined also where that is beyond the end of `bytes`. */
export function endOfField(bytes: Uint8Array, at: number): number | undefined {
  const start = startOfContent(bytes, at);
  if (start === undefined) return undefined;
  let length = 0;
  for (let shift = 0, position = at + 1; shift <= longestLength && position < start; shift += 7, position += 1) {
    length += ((bytes[position] ?? 0) & 0x7f) * 2 ** shift;
  }
  const end = start + length;
  return end <= bytes.length ? end : undefined;
}
