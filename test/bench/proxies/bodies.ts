/** What is carried: every place has a content of its own, so that lost or doubled bytes are seen. */

export const small = 1024;
export const large = 1 << 20;

/** Bytes of a body of this length. */
export function createBody(length: number): Buffer {
  const body = Buffer.alloc(length);
  for (let at = 0; at < length; at++) body[at] = 32 + ((at ^ (at >> 7) ^ (at >> 14)) % 90);
  return body;
}
