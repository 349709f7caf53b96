import { expect, it } from "vitest";
import { type Backoff, nextBackoff, noBackoff } from "./backoff.ts";
import { defaultLimits } from "./limits.ts";

const limits = defaultLimits.backoff;

function failTimes(times: number, attempt: { random: number; isUnreached?: boolean; retryAfterMs?: number }): number[] {
  let backoff: Backoff = noBackoff;
  return Array.from({ length: times }, () => {
    const [next, delayMs] = nextBackoff(
      backoff,
      {
        nowMs: 0,
        random: attempt.random,
        isUnreached: attempt.isUnreached ?? false,
        retryAfterMs: attempt.retryAfterMs,
      },
      limits,
    );
    backoff = next;
    return delayMs;
  });
}

it("comes back fast the first time, and then waits up to 0.8 s, 1.6 s … 30 s", () => {
  expect(failTimes(9, { random: 1 })).toEqual([200, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  expect(failTimes(9, { random: 0 })).toEqual([0, 100, 100, 100, 100, 100, 100, 100, 100]);
});

it("waits 2 s at most for a server that is not reached", () => {
  expect(failTimes(6, { random: 1, isUnreached: true })).toEqual([200, 800, 1600, 2000, 2000, 2000]);
});

it("waits as long as it is told, spread by a fifth, and not longer than a minute and that", () => {
  expect(failTimes(1, { random: 0, retryAfterMs: 5000 })).toEqual([5000]);
  expect(failTimes(1, { random: 1, retryAfterMs: 5000 })).toEqual([6000]);
  expect(failTimes(1, { random: 0, retryAfterMs: 3_600_000 })).toEqual([60_000]);
});

it("forgets failures after a quiet time", () => {
  const before: Backoff = { failures: 7, failedAtMs: 0 };
  const attempt = { nowMs: limits.quietMs, random: 1, isUnreached: false, retryAfterMs: undefined };
  expect(nextBackoff(before, attempt, limits)).toEqual([{ failures: 1, failedAtMs: limits.quietMs }, 200]);
});
