/** Writes strings in the Huffman code. */
import { codeLengths, codes } from "./huffman-code.ts";

/** How many bytes `text`, a character for each byte, takes in the Huffman code. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) bits += codeLengths[text.charCodeAt(index) & 0xff] ?? 0;
  return (bits + 7) >>> 3;
}

/** Writes `text` at `offset`, and returns where it ends. */
export function encodeHuffman(text: string, target: Uint8Array, offset: number): number {
  let place = offset;
  // What is not written yet: fewer than eight bits, before a code of up to 30 is added in two parts.
  let pending = 0;
  let count = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 0xff;
    const code = codes[symbol] ?? 0;
    let left = codeLengths[symbol] ?? 0;
    while (left > 0) {
      const taken = Math.min(left, 16);
      left -= taken;
      pending = (pending << taken) | ((code >>> left) & ((1 << taken) - 1));
      count += taken;
      while (count >= 8) {
        count -= 8;
        target[place++] = (pending >>> count) & 0xff;
      }
      pending &= (1 << count) - 1;
    }
  }
  // The end is padded with ones.
  if (count > 0) target[place++] = ((pending << (8 - count)) | (0xff >>> count)) & 0xff;
  return place;
}
