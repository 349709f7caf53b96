import { expect, test } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";
import { Debounce } from "./debounce.ts";

function buildChange(generation: number): SnapshotChange {
  const [before, after] = [generation - 1, generation].map((number) => ({ generation: number }) as Snapshot);
  if (after === undefined) throw new Error("no snapshot");
  return {
    before,
    after,
    kinds: new Set(),
    objects: [],
    services: new Set([`s${generation}`]),
    endpoints: new Set([`e${generation}`]),
  };
}

function start() {
  const clock = new TestClock();
  const runs: { readonly at: number; readonly change: SnapshotChange; readonly waitedMs: number }[] = [];
  const run = (change: SnapshotChange, waitedMs: number): void => void runs.push({ at: clock.now(), change, waitedMs });
  return { clock, runs, debounce: new Debounce({ clock, quietMs: 100, maxMs: 1000, run }) };
}

test("a lone change goes through at once", () => {
  const { clock, runs, debounce } = start();
  clock.advance(5000);
  debounce.add(buildChange(1));
  expect(runs.map(({ at }) => at)).toEqual([5000]);
  clock.advance(1000);
  debounce.add(buildChange(2));
  expect(runs.map(({ at }) => at)).toEqual([5000, 6000]);
});

test("a burst waits for quiet and comes as one change", () => {
  const { clock, runs, debounce } = start();
  debounce.add(buildChange(1));
  for (let generation = 2; generation <= 4; generation++) {
    clock.advance(50);
    debounce.add(buildChange(generation));
  }
  clock.advance(99);
  expect(runs).toHaveLength(1);
  clock.advance(1);
  expect(runs).toHaveLength(2);
  const merged = runs[1];
  expect([merged?.at, merged?.waitedMs]).toEqual([250, 200]);
  expect([merged?.change.before?.generation, merged?.change.after.generation]).toEqual([1, 4]);
  expect([...(merged?.change.services ?? [])]).toEqual(["s2", "s3", "s4"]);
  expect([...(merged?.change.endpoints ?? [])]).toEqual(["e2", "e3", "e4"]);
});

test("a burst without quiet is held back for the longest time only", () => {
  const { clock, runs, debounce } = start();
  for (let generation = 1; generation <= 30; generation++) {
    debounce.add(buildChange(generation));
    clock.advance(50);
  }
  expect(runs.map(({ at }) => at)).toEqual([0, 1050]);
});

test("after close nothing comes any more", () => {
  const { clock, runs, debounce } = start();
  debounce.add(buildChange(1));
  debounce.add(buildChange(2));
  debounce.close();
  clock.advance(5000);
  expect(runs).toHaveLength(1);
});
