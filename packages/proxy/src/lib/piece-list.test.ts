import { describe, expect, it } from "vitest";
import { PieceList } from "./piece-list.ts";

const piece = (length: number, at: number): Buffer => Buffer.alloc(length, at % 251);

describe("pieces that wait", () => {
  it.each<readonly [string, readonly number[], number]>([
    ["one is kept as it is", [10], 1],
    ["small ones are put together", Array.from({ length: 5_000 }, () => 1), 3],
    ["large ones are not", [5_000, 5_000, 5_000], 3],
    ["both keep their order", [10, 10, 5_000, 10, 10, 3_000, 2_047, 2_047, 2_047], 7],
    ["none are none", [], 0],
  ])("%s", (_name, lengths, count) => {
    const list = new PieceList();
    const pieces = lengths.map(piece);
    for (const each of pieces) list.add(each);
    expect(list.bytes).toBe(pieces.reduce((sum, { length }) => sum + length, 0));
    const taken = list.take();
    expect(taken.length).toBe(count);
    expect(Buffer.concat(taken)).toEqual(Buffer.concat(pieces));
    expect([list.bytes, list.take()]).toEqual([0, []]);
  });
});
