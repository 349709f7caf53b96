/** All of them as one, which is the first itself where there is no other: most of what comes, comes in one piece. */
export function joinBuffers<Bytes extends Uint8Array>(parts: readonly Bytes[]): Bytes | Buffer {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}
