import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("is over after some milliseconds, and begins anew", async () => {
  let now = 0;
  const turns = new Turns({ monotonic: () => now });
  expect(turns.isOver).toBe(false);
  now = 5;
  expect(turns.isOver).toBe(true);
  let isServed = false;
  setImmediate(() => {
    isServed = true;
  });
  await turns.next();
  expect(isServed).toBe(true);
  expect(turns.isOver).toBe(false);
});
