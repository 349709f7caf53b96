import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("a timer without end does not run", async () => {
  const ran: string[] = [];
  const timers = [
    systemClock.after(Number.POSITIVE_INFINITY, () => ran.push("after")),
    systemClock.every(2 ** 40, () => ran.push("every")),
  ];
  // Longer than the millisecond that the platform would make of it.
  await wait(30);
  for (const timer of timers) timer.close();
  expect(ran).toEqual([]);
});
