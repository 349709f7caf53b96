import { expect, test } from "vitest";
import {
  initialState,
  isHolding,
  type LeaseRecord,
  defaultLeaseLimits as limits,
  nextLookMs,
  noteLost,
  noteWritten,
  observeLease,
  planStep,
} from "./lease.ts";
import { buildLease, parseLease } from "./lease-object.ts";

const record = (holder: string, renewTime = "t1"): LeaseRecord => ({
  holder,
  durationMs: 15_000,
  acquireTime: "t0",
  renewTime,
  transitions: 3,
  resourceVersion: "7",
});

test("a Lease that is not there is created, one that was given back is taken at once", () => {
  expect(planStep(initialState, "a", 0)).toEqual({ kind: "create" });
  const free = observeLease(initialState, record(""), 1000);
  expect(planStep(free, "a", 1000)).toEqual({ kind: "take", over: record("") });
});

test("another's Lease is left alone until it was not seen to change for its duration", () => {
  let state = observeLease(initialState, record("b", "t1"), 1000);
  state = observeLease(state, record("b", "t1"), 9000);
  expect(planStep(state, "a", 15_999).kind).toBe("wait");
  expect(planStep(state, "a", 16_000).kind).toBe("take");
  state = observeLease(state, record("b", "t2"), 15_500);
  expect(planStep(state, "a", 30_499).kind).toBe("wait");
  expect(planStep(state, "a", 30_500).kind).toBe("take");
});

test("times that another's clock wrote decide nothing", () => {
  const longAgo = observeLease(initialState, record("b", "1970-01-01T00:00:00.000000Z"), 0);
  expect(planStep(longAgo, "a", 14_999).kind).toBe("wait");
  const farAhead = observeLease(initialState, record("b", "2999-01-01T00:00:00.000000Z"), 0);
  expect(planStep(farAhead, "a", 15_000).kind).toBe("take");
});

test("leadership counts from the beginning of the renewal and ends before anybody may take the Lease", () => {
  const state = noteWritten(initialState, record("a"), { begunAt: 1000, now: 4000 });
  expect(isHolding(state, limits, 10_999)).toBe(true);
  expect(isHolding(state, limits, 11_000)).toBe(false);
  const other = observeLease(initialState, record("a"), 1000);
  expect(planStep(other, "b", 15_999).kind).toBe("wait");
  expect(isHolding(noteLost(state), limits, 2000)).toBe(false);
});

test("a leader renews each period, a follower looks when the Lease ends at the latest", () => {
  const leader = noteWritten(initialState, record("a"), { begunAt: 0, now: 0 });
  expect(nextLookMs(leader, limits, { now: 0, random: 1 })).toBe(2000);
  const follower = observeLease(initialState, record("b"), 0);
  expect(nextLookMs(follower, limits, { now: 0, random: 0.5 })).toBe(2200);
  expect(nextLookMs(follower, limits, { now: 14_500, random: 0.5 })).toBe(500);
  expect(nextLookMs(follower, limits, { now: 20_000, random: 0 })).toBe(2000);
});

test("a Lease counts its holders, and carries the resource version that it was seen with", () => {
  const common = { namespace: "ns", name: "leader", durationMs: 15_000, nowMs: 1_767_323_045_678 };
  const taken = buildLease({ ...common, holder: "a", over: record("b") });
  expect(taken).toEqual({
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { namespace: "ns", name: "leader", resourceVersion: "7" },
    spec: {
      holderIdentity: "a",
      leaseDurationSeconds: 15,
      acquireTime: "2026-01-02T03:04:05.678000Z",
      renewTime: "2026-01-02T03:04:05.678000Z",
      leaseTransitions: 4,
    },
  });
  expect(parseLease(buildLease({ ...common, holder: "b", over: record("b") }))).toMatchObject({
    acquireTime: "t0",
    transitions: 3,
  });
  expect(parseLease(buildLease({ ...common, holder: "", over: record("b") }))).toMatchObject({
    holder: "",
    transitions: 3,
  });
  expect(parseLease({ spec: "nonsense" })).toMatchObject({ holder: "", durationMs: 0, transitions: 0 });
});
