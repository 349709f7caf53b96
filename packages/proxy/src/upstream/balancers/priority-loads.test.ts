import fc from "fast-check";
import { expect, test } from "vitest";
import { prioritySet } from "../testing/balancer-rig.ts";
import { computeLoads, computeLoadsWithout, pickPriority } from "./priority-loads.ts";

type Counts = Parameters<typeof prioritySet>[1];

// Tables of Envoy's documentation: priority levels, degraded endpoints, panic threshold.
test.each<[string, Counts[], number[], number[], boolean[]]>([
  ["all well", [{ healthy: 10 }, { healthy: 10 }], [100, 0], [0, 0], [false, false]],
  [
    "72 % is enough",
    [
      { healthy: 72, unhealthy: 28 },
      { healthy: 72, unhealthy: 28 },
    ],
    [100, 0],
    [0, 0],
    [false, false],
  ],
  [
    "71 % spills over",
    [
      { healthy: 71, unhealthy: 29 },
      { healthy: 71, unhealthy: 29 },
    ],
    [99, 1],
    [0, 0],
    [false, false],
  ],
  [
    "half of it",
    [
      { healthy: 50, unhealthy: 50 },
      { healthy: 60, unhealthy: 40 },
    ],
    [70, 30],
    [0, 0],
    [false, false],
  ],
  ["a quarter", [{ healthy: 25, unhealthy: 75 }, { healthy: 100 }], [35, 65], [0, 0], [false, false]],
  ["none", [{ unhealthy: 100 }, { healthy: 100 }], [0, 100], [0, 0], [false, false]],
  [
    "three",
    [{ healthy: 25, unhealthy: 75 }, { healthy: 25, unhealthy: 75 }, { healthy: 100 }],
    [35, 35, 30],
    [0, 0, 0],
    [false, false, false],
  ],
  [
    "little everywhere",
    [
      { healthy: 25, unhealthy: 75 },
      { healthy: 20, unhealthy: 80 },
    ],
    [50, 50],
    [0, 0],
    [true, true],
  ],
  ["degraded after healthy", [{ degraded: 50, unhealthy: 50 }, { degraded: 100 }], [0, 0], [70, 30], [false, false]],
  [
    "healthy below before degraded above",
    [{ degraded: 100 }, { healthy: 50, unhealthy: 50 }],
    [0, 70],
    [30, 0],
    [false, false],
  ],
  ["nothing at all", [{ unhealthy: 5 }, { unhealthy: 5 }], [50, 50], [0, 0], [true, true]],
  ["nothing but in the second", [{}, { unhealthy: 1 }], [0, 100], [0, 0], [true, true]],
  ["draining is no failure", [{ healthy: 1, draining: 2 }, { healthy: 1 }], [100, 0], [0, 0], [false, false]],
  ["draining alone", [{ draining: 2 }, { healthy: 1 }], [0, 100], [0, 0], [false, false]],
  ["draining besides failures", [{ draining: 1, unhealthy: 1 }], [100], [0], [true]],
  ["no host", [{}, {}], [100, 0], [0, 0], [true, true]],
])("loads: %s", (_, counts, healthy, degraded, isPanicking) => {
  const loads = computeLoads(
    counts.map((count, priority) => prioritySet(priority, count)),
    50,
  );
  expect(loads).toEqual({ healthy, degraded, isPanicking });
});

test("a threshold of 0 turns panic off", () => {
  const sets = [prioritySet(0, { unhealthy: 4 })];
  expect(computeLoads(sets, 0).isPanicking).toEqual([false]);
});

test("priorities that were tried get nothing, as long as others have something", () => {
  const sets = [prioritySet(0, { healthy: 2 }), prioritySet(1, { healthy: 2 })];
  expect(computeLoadsWithout(sets, [0])?.healthy).toEqual([0, 100]);
  expect(computeLoadsWithout(sets, [0, 1])).toBeUndefined();
});

const counts = fc.record({
  healthy: fc.nat({ max: 8 }),
  degraded: fc.nat({ max: 4 }),
  unhealthy: fc.nat({ max: 8 }),
});

test("loads are a hundred in all, and a throw of the dice always hits one that has some", () => {
  fc.assert(
    fc.property(fc.array(counts, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 99 }), (all, dice) => {
      const sets = all.map((count, priority) => prioritySet(priority, count));
      const loads = computeLoads(sets, 50);
      const sum = [...loads.healthy, ...loads.degraded].reduce((total, load) => total + load, 0);
      expect(sum).toBe(100);
      const { priority, isDegraded } = pickPriority(loads, dice);
      expect((isDegraded ? loads.degraded : loads.healthy)[priority]).toBeGreaterThan(0);
    }),
    { seed: 7, numRuns: 300 },
  );
});
