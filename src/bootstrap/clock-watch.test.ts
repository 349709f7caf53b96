import { expect, test } from "vitest";
import type { Clock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { watchClock } from "./clock-watch.ts";

test("a jump of the time of day is told once, drift is not", () => {
  let [now, monotonic, look] = [1_000_000, 0, (): void => undefined];
  const clock: Clock = {
    now: () => now,
    monotonic: () => monotonic,
    after: () => ({ close: () => undefined }),
    every: (_periodMs, run) => {
      look = run;
      return { close: () => undefined };
    },
  };
  const told: unknown[] = [];
  watchClock(clock, { ...silentLog, warn: (_text, fields) => void told.push(fields) });
  const pass = (nowMs: number): void => {
    now += nowMs;
    monotonic += 5000;
    look();
  };
  pass(5000);
  pass(5400);
  pass(5000 + 3_600_000);
  pass(5000);
  pass(5000 - 3_600_000);
  expect(told).toEqual([{ jumpedMs: 3_600_000 }, { jumpedMs: -3_600_000 }]);
});
