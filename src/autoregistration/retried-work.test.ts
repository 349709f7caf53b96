import { expect, test } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { RetriedWork } from "./retried-work.ts";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function createWork(results: readonly (() => Promise<void>)[]) {
  const clock = new TestClock();
  const seen = { runs: 0, attempts: [] as number[] };
  const work: RetriedWork = new RetriedWork({
    clock,
    run: () => results[seen.runs++]?.() ?? Promise.resolve(),
    onFailure: (_, attempt) => seen.attempts.push(attempt),
  });
  return { clock, seen, work };
}

const fail = (): Promise<void> => Promise.reject(new Error("not now"));

test("what is asked for in one moment runs once, what is asked for meanwhile runs afterwards", async () => {
  let finish = (): void => undefined;
  const { seen, work } = createWork([() => new Promise((resolve) => (finish = resolve))]);
  work.request();
  work.request();
  await settle();
  expect(seen.runs).toBe(1);
  work.request();
  work.request();
  await settle();
  expect(seen.runs).toBe(1);
  finish();
  await settle();
  expect(seen.runs).toBe(2);
});

test("failures are tried again after growing pauses, and forgotten after success", async () => {
  const { clock, seen, work } = createWork([fail, fail, () => Promise.resolve(), fail]);
  work.request();
  for (const [ms, runs] of [
    [19, 1],
    [1, 2],
    [79, 2],
    [1, 3],
    [100_000, 3],
  ] as const) {
    await settle();
    clock.advance(ms);
    await settle();
    expect(seen.runs).toBe(runs);
  }
  work.request();
  await settle();
  expect(seen.attempts).toEqual([1, 2, 1]);
});

test("nothing runs any more once it was closed", async () => {
  const { clock, seen, work } = createWork([fail]);
  work.request();
  await work.close();
  clock.advance(100_000);
  await settle();
  expect(seen.runs).toBe(1);
});

test("a request runs what was put off, once", async () => {
  const { clock, seen, work } = createWork([]);
  work.requestLater(1000);
  clock.advance(999);
  await settle();
  expect(seen.runs).toBe(0);
  work.request();
  await settle();
  clock.advance(1000);
  await settle();
  expect(seen.runs).toBe(1);
});
