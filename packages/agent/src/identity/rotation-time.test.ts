import { expect, test } from "vitest";
import { retryDelay, rotationTime } from "./rotation-time.ts";

const hour = 3_600_000;
const usual = { gracePeriodRatio: 0.5, gracePeriodJitter: 0.01 };

test.each([
  { name: "half of a day", lifetime: 24 * hour, options: usual, random: 0.5, expected: 12 * hour },
  { name: "a little later", lifetime: 100 * hour, options: usual, random: 0, expected: 51 * hour },
  { name: "a little earlier", lifetime: 100 * hour, options: usual, random: 0.9999999, expected: 49 * hour },
  {
    name: "the last tenth",
    lifetime: 10 * hour,
    options: { gracePeriodRatio: 0.1, gracePeriodJitter: 0 },
    random: 0.3,
    expected: 9 * hour,
  },
  {
    name: "a ratio over 1 means at once",
    lifetime: hour,
    options: { gracePeriodRatio: 3, gracePeriodJitter: 0 },
    random: 0,
    expected: 0,
  },
  {
    name: "a ratio below 0 means at the end",
    lifetime: hour,
    options: { gracePeriodRatio: -1, gracePeriodJitter: 0 },
    random: 0,
    expected: hour,
  },
  { name: "what has expired is renewed at once", lifetime: -hour, options: usual, random: 0.5, expected: 0 },
])("a certificate is renewed in time: $name", ({ lifetime, options, random, expected }) => {
  const receivedMs = 1_000_000;
  const instant = rotationTime({ receivedMs, notAfterMs: receivedMs + lifetime }, options, random);
  expect(Math.abs(instant - receivedMs - expected)).toBeLessThan(2_000);
});

test("a thousand agents that started together spread their requests over a fiftieth of the lifetime", () => {
  const instants = Array.from({ length: 1_000 }, (_, index) => {
    return rotationTime({ receivedMs: 0, notAfterMs: 1_000_000 }, usual, index / 1_000);
  });
  expect(Math.max(...instants)).toBeLessThanOrEqual(510_000);
  expect(Math.min(...instants)).toBeGreaterThanOrEqual(490_000);
  expect(new Set(instants.map((instant) => Math.floor(instant / 1_000))).size).toBeGreaterThanOrEqual(20);
});

test.each([
  { attempt: 1, random: 0, expected: 250 },
  { attempt: 1, random: 0.5, expected: 500 },
  { attempt: 2, random: 0.5, expected: 1_000 },
  { attempt: 6, random: 0.5, expected: 16_000 },
  { attempt: 7, random: 0.5, expected: 30_000 },
  { attempt: 7, random: 0, expected: 15_000 },
  { attempt: 100_000, random: 0.5, expected: 30_000 },
])("after failure $attempt with $random the pause is $expected ms", ({ attempt, random, expected }) => {
  expect(retryDelay(attempt, random)).toBe(expected);
});
