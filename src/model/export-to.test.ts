import { expect, it } from "vitest";
import { isVisibleFrom, parseExportTo } from "./export-to.ts";

it.each([
  [[], [], ["*"]],
  [[], ["."], ["."]],
  [["."], ["*"], ["."]],
  [["*", "a"], ["."], ["*"]],
  [["~", "a"], ["*"], ["~"]],
  [["~", "*"], ["."], ["*"]],
  [[" b", "a ", ""], ["*"], ["a", "b"]],
])("reads %j over the default %j as %j", (stated, defaults, expected) => {
  expect([...parseExportTo(stated, defaults)]).toEqual(expected);
});

it.each([
  ["*", "other", true],
  [".", "own", true],
  [".", "other", false],
  ["other", "other", true],
  ["other", "own", false],
  ["~", "own", false],
])("%s of namespace own is seen from %s: %s", (exportTo, from, expected) => {
  expect(isVisibleFrom(new Set([exportTo]), "own", from)).toBe(expected);
});
