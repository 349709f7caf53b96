import { expect, it } from "vitest";
import { inTurns } from "./in-turns.ts";

it("makes a page as it goes out, in large pieces, and rests between slices", async () => {
  let now = 0;
  let rests = 0;
  const clock = {
    now: () => 0,
    // Each look at the clock takes half a millisecond.
    monotonic: () => (now += 0.5),
    after: (_delayMs: number, run: () => void) => {
      rests += 1;
      setImmediate(run);
      return { close: () => undefined };
    },
    every: () => ({ close: () => undefined }),
  };
  const pieces = Array.from({ length: 2_000 }, (_none, index) => `${index}`.padEnd(100));
  const sent: string[] = [];
  for await (const piece of inTurns(pieces, clock)) sent.push(piece);
  expect(sent.join("")).toBe(pieces.join(""));
  expect(sent.map(({ length }) => length)).toEqual([65_600, 65_600, 65_600, 3_200]);
  expect(rests).toBeGreaterThan(500);
});
