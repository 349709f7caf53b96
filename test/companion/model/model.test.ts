import { describe, expect, it } from "vitest";
import { describeGrowth } from "./memory-growth.ts";
import { formatFault } from "./report.ts";
import { runModel } from "./run-model.ts";

const series = { dataPlane: "companion", requestsPerChange: 35 } as const;

describe("the companion proxy under random load and random changes", () => {
  it.each([
    ["state of the world", { seed: 7, isDelta: false, changes: 60 }],
    ["delta", { seed: 8, isDelta: true, changes: 60 }],
  ])("answers as the model says, loses nothing and keeps its memory, %s", async (_form, options) => {
    const result = await runModel({ ...series, ...options });
    expect(result.faults.map(formatFault)).toEqual([]);
    expect(result.changes).toBe(options.changes);
    expect(result.requests).toBeGreaterThanOrEqual(options.changes * series.requestsPerChange);
    expect(result.refusals).toBeGreaterThan(0);
    expect(result.longStreams).toBeGreaterThan(0);
    expect(describeGrowth(result.memory)).toMatchObject({ isFlat: true });
  });
});

describe("the model", () => {
  it.each([
    ["a path", "path", (id: number) => ({ path: `/spoilt/${id}` })],
    ["a header", "x-m-2", () => ({ headers: { "x-m-2": "spoilt" } })],
    ["the upstream", "the last attempt", () => ({ upstream: "http1-spoilt" })],
  ])("notices %s that is not what it was", async (_what, word, spoilt) => {
    const { faults } = await runModel({
      ...series,
      ...{ seed: 3, isDelta: true, changes: 6 },
      spoil: (seen, id) => (id % 3 === 0 ? { ...seen, ...spoilt(id) } : seen),
    });
    expect(faults[0]?.what).toContain(word);
    expect(faults.map(formatFault).join()).toMatch(/^at change \d+ .*"slot":/);
  });
});
