import { expect, it } from "vitest";
import { compareResourceVersions, isOlder } from "./resource-version.ts";

it.each([
  ["9", "10", true],
  ["10", "9", false],
  ["10", "10", false],
  // Beyond what a number can hold.
  ["18446744073709551614", "18446744073709551615", true],
  ["", "10", false],
  ["10", "", false],
  ["abc", "abd", false],
  ["010", "11", false],
])("%s is older than %s: %s", (a, b, expected) => {
  expect(isOlder(a, b)).toBe(expected);
});

it("does not compare what is no number", () => {
  expect(compareResourceVersions("a1", "a2")).toBeUndefined();
});
