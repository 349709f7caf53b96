import { expect, it } from "vitest";
import { findOwn } from "./find-own.ts";

it.each([
  ["a", 1],
  ["b", undefined],
  ["constructor", undefined],
  ["__proto__", undefined],
])("finds only what the record itself has: %s", (name, expected) => {
  expect(findOwn({ a: 1 }, name)).toBe(expected);
});
