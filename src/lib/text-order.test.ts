import { expect, it } from "vitest";
import { compareText, sortEntries } from "./text-order.ts";

it("orders by UTF-16 units, whatever the language", () => {
  expect(["b", "a", "Z", "ä", "a"].sort(compareText)).toEqual(["Z", "a", "a", "b", "ä"]);
});

it("sorts entries of objects and maps by name", () => {
  expect(sortEntries(Object.entries({ b: 1, a: 2 }))).toEqual([
    ["a", 2],
    ["b", 1],
  ]);
  expect(
    sortEntries(
      new Map([
        ["y", 1],
        ["x", 2],
      ]),
    ).map(([name]) => name),
  ).toEqual(["x", "y"]);
});
