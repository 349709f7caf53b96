import { describe, expect, it } from "vitest";
import { ByteBlocks } from "./byte-blocks.ts";

/** Sizes of the blocks that copies of these lengths came to lie in, each block once. */
function blockSizes(lengths: readonly number[]): readonly number[] {
  const blocks = new ByteBlocks();
  return [...new Set(lengths.map((length) => blocks.copy(new Uint8Array(length)).buffer))].map(
    ({ byteLength }) => byteLength,
  );
}

describe("ByteBlocks", () => {
  it("copies", () => {
    const blocks = new ByteBlocks();
    const given = [Buffer.from("one"), Buffer.from("two"), Buffer.from(""), Buffer.from("three")];
    const copies = given.map((bytes) => blocks.copy(bytes));
    for (const bytes of given) bytes.fill(0);
    expect(copies.map((bytes) => Buffer.from(bytes).toString())).toEqual(["one", "two", "", "three"]);
  });

  it.each<[string, readonly number[], readonly number[]]>([
    ["one alone has what it needs", [300], [300]],
    ["more share more", Array.from({ length: 15 }, () => 100), [100, 100, 200, 400, 800]],
    [
      "nothing shares more than a block",
      Array.from({ length: 9 }, () => 60_000),
      Array.from({ length: 9 }, (_, at) => [60_000, 60_000][at] ?? 65_536),
    ],
    ["a long one has one of its own", [100_000, 100_000], [100_000, 100_000]],
  ])("%s", (_what, lengths, sizes) => {
    expect(blockSizes(lengths)).toEqual(sizes);
  });
});
