import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("is over after some milliseconds, and begins anew when others had theirs", async () => {
  let now = 0;
  let rested = 0;
  const turns = new Turns({
    monotonic: () => now,
    after: (delayMs, run) => {
      rested += delayMs;
      setImmediate(run);
      return { close: () => undefined };
    },
  });
  expect(turns.isOver).toBe(false);
  now = 5;
  expect(turns.isOver).toBe(true);
  let isServed = false;
  setImmediate(() => {
    isServed = true;
  });
  await turns.next();
  expect(isServed).toBe(true);
  expect(rested).toBeGreaterThan(0);
  expect(turns.isOver).toBe(false);
});
