import { expect, test } from "vitest";
import type { ReportLease } from "./replica-reports-lease.ts";
import { listAlive, listForgotten, nothingSeen, observeReports } from "./replica-reports-seen.ts";

const leaseOf = (renewTime: string, given: Partial<ReportLease> = {}): ReportLease => ({
  name: "a",
  uid: "1",
  resourceVersion: "1",
  renewTime,
  durationMs: 30_000,
  text: `{"version":1,"objects":{"Gateway/a/b":["u",1,1,1]}}`,
  ...given,
});
const lookAll = (looks: readonly (readonly [number, ...ReportLease[]])[]) =>
  looks.reduce((seen, [now, ...leases]) => observeReports(seen, leases, { now, maxGapMs: 4000 }), nothingSeen);
/** A look every two seconds, from the first time to the last. */
const looksAt = (first: number, last: number, lease: ReportLease) =>
  Array.from({ length: (last - first) / 2000 + 1 }, (_, index) => [first + index * 2000, lease] as const);

test("a replica counts until it was not seen to renew for its duration", () => {
  expect(listAlive(lookAll(looksAt(100_000, 128_000, leaseOf("t1"))))).toHaveLength(1);
  expect(listAlive(lookAll(looksAt(100_000, 130_000, leaseOf("t1"))))).toHaveLength(0);
  const renewed = [...looksAt(100_000, 128_000, leaseOf("t1")), ...looksAt(130_000, 158_000, leaseOf("t2"))];
  expect(listAlive(lookAll(renewed))).toHaveLength(1);
});

test("times that another's clock wrote decide nothing", () => {
  for (const renewTime of ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "no time"]) {
    expect(listAlive(lookAll(looksAt(0, 28_000, leaseOf(renewTime))))).toHaveLength(1);
    expect(listAlive(lookAll(looksAt(0, 30_000, leaseOf(renewTime))))).toHaveLength(0);
  }
});

test("time in which nobody looked does not count against a replica", () => {
  expect(listAlive(lookAll([...looksAt(0, 10_000, leaseOf("t1")), [600_000, leaseOf("t1")]]))).toHaveLength(1);
});

test("a report is the same object while its text is the same", () => {
  const before = lookAll([[0, leaseOf("t1")]]);
  const renewed = observeReports(before, [leaseOf("t2", { resourceVersion: "2" })], { now: 1, maxGapMs: 4000 });
  expect(listAlive(renewed)[0]).toBe(listAlive(before)[0]);
  const changed = observeReports(before, [leaseOf("t2", { text: "{}" })], { now: 1, maxGapMs: 4000 });
  expect(listAlive(changed)[0]).not.toBe(listAlive(before)[0]);
});

test("a Lease that was deleted counts no more, one that was made anew counts from then on", () => {
  expect(listAlive(lookAll([[0, leaseOf("t1")], [2000]]))).toEqual([]);
  const anew = [...looksAt(0, 40_000, leaseOf("t1")), [42_000, leaseOf("t1", { uid: "2" })] as const];
  expect(listAlive(lookAll(anew))).toHaveLength(1);
});

test("what ended long ago is forgotten, and nothing else", () => {
  const lease = leaseOf("t1");
  expect(listForgotten(lookAll(looksAt(0, 34_000, lease)), 6000)).toEqual([]);
  expect(listForgotten(lookAll(looksAt(0, 36_000, lease)), 6000)).toEqual([lease]);
});
