import { describe, expect, it } from "vitest";
import { PrematureResets } from "./premature-resets.ts";

const keys = {
  total: "overload.premature_reset_total_stream_count",
  seconds: "overload.premature_reset_min_stream_lifetime_seconds",
};

function count(values: Readonly<Record<string, number>>, { good = 0, ageMs = 0, most = 5_000 }): number | undefined {
  const resets = new PrematureResets({ number: (key, otherwise) => values[key] ?? otherwise });
  for (let index = 0; index < good; index++) resets.addOther();
  for (let index = 1; index <= most; index++) if (resets.addReset(ageMs)) return index;
  return undefined;
}

describe("PrematureResets", () => {
  it.each([
    ["half of 500 that are certain to come", {}, {}, 250],
    ["half of all where they are more", {}, { good: 1_000 }, 1_000],
    ["another number", { [keys.total]: 10 }, {}, 5],
    ["not those that lived", {}, { ageMs: 2_000 }, undefined],
    ["those that lived a second, as whole seconds count", {}, { ageMs: 1_999 }, 250],
    ["another time", { [keys.seconds]: 0 }, { ageMs: 1_000 }, undefined],
  ])("ends at %s", (_what, runtime, given, expected) => {
    expect(count(runtime, given)).toBe(expected);
  });
});
