/**
 * The Huffman code of HPACK (RFC 7541, appendix B). It is canonical: shorter codes come first, those of one length in the
 * order of their symbols, so the lengths say everything.
 */

/** Bits of the code of each byte, and of the end of a string (EOS), which is symbol 256. */
export const codeLengths: Uint8Array = Uint8Array.from(
  (
    "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 " +
    "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 " +
    "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 " +
    "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 " +
    "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 " +
    "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 " +
    "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 " +
    "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 " +
    "30"
  )
    .split(" ")
    .map(Number),
);

/** The code of each symbol, in the lowest bits. */
export const codes: Uint32Array = makeCodes(codeLengths);

function makeCodes(lengths: Uint8Array): Uint32Array {
  const made = new Uint32Array(lengths.length);
  const symbols = Array.from(lengths.keys()).sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  let code = 0;
  let before = 0;
  for (const symbol of symbols) {
    code *= 2 ** (lengthOf(symbol) - before);
    made[symbol] = code;
    code += 1;
    before = lengthOf(symbol);
  }
  return made;

  function lengthOf(symbol: number): number {
    return lengths[symbol] ?? 0;
  }
}
