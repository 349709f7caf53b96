/**
 * Reads strings in the Huffman code four bits at a time. No code is shorter than five bits, so that four end one at most:
 * a table says for each place in the tree of codes, and each four bits, which place comes next and which byte is complete.
 */

import { HpackError } from "./hpack-error.ts";
import { codeLengths, codes } from "./huffman-code.ts";

const endOfString = 256;
/** The padding of a string is shorter than a byte, and of ones (RFC 7541, section 5.2). */
const longestPadding = 7;
/** For an entry of `steps`: no byte is complete, and the end of the string, which no string may have in it. */
const nothing = 0x100;
const forbidden = 0x200;
const scratchBytes = 16_384;

/** The tree of codes: for each inner node its two children, as a node, or as a symbol below zero (-1 - symbol). */
const tree = makeTree();
/** [node * 16 + four bits]: the next node in the upper 16 bits; the byte that is complete, or one of the above, in the lower. */
const steps = makeSteps();
/** Whether a string may end at a node: at the root, or in padding. */
const isEnd = makeEnds();
/** Only ever holds a string while it is made. */
const scratch = Buffer.allocUnsafeSlow(scratchBytes);

/** The string, a character for each byte, that `bytes` hold from `start` to `end`. Throws HpackError. */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string {
  const mostBytes = Math.floor(((end - start) * 8) / 5);
  const target = mostBytes <= scratchBytes ? scratch : Buffer.allocUnsafe(mostBytes);
  let length = 0;
  let node = 0;
  for (let place = start; place < end; place++) {
    const byte = bytes[place] ?? 0;
    for (let half = byte >>> 4, isFirst = true; ; half = byte & 15, isFirst = false) {
      const step = steps[node * 16 + half] ?? 0;
      const symbol = step & 0xffff;
      if (symbol < nothing) target[length++] = symbol;
      else if (symbol === forbidden) throw new HpackError("the end of a string within a string in the Huffman code");
      node = step >>> 16;
      if (!isFirst) break;
    }
  }
  if (isEnd[node] !== 1) throw new HpackError("the padding of a string in the Huffman code is none");
  return target.toString("latin1", 0, length);
}

function makeTree(): number[][] {
  const nodes: number[][] = [[0, 0]];
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    const code = codes[symbol] ?? 0;
    let node = 0;
    for (let bit = (codeLengths[symbol] ?? 0) - 1; bit >= 0; bit--) {
      const side = (code >>> bit) & 1;
      const children = nodes[node] ?? [];
      if (bit === 0) children[side] = -1 - symbol;
      else {
        if (children[side] === 0) children[side] = nodes.push([0, 0]) - 1;
        node = children[side] ?? 0;
      }
    }
  }
  return nodes;
}

function makeSteps(): Uint32Array {
  const made = new Uint32Array(tree.length * 16);
  for (let node = 0; node < tree.length; node++) {
    for (let half = 0; half < 16; half++) made[node * 16 + half] = makeStep(node, half);
  }
  return made;
}

function makeStep(from: number, half: number): number {
  let node = from;
  let complete = nothing;
  for (let bit = 3; bit >= 0; bit--) {
    const child = tree[node]?.[(half >>> bit) & 1] ?? 0;
    node = Math.max(child, 0);
    if (child < 0) complete = -1 - child === endOfString ? forbidden : -1 - child;
    if (complete === forbidden) break;
  }
  return node * 0x10000 + complete;
}

function makeEnds(): Uint8Array {
  const ends = new Uint8Array(tree.length);
  let node = 0;
  for (let length = 0; length <= longestPadding; length++) {
    ends[node] = 1;
    node = tree[node]?.[1] ?? 0;
  }
  return ends;
}
