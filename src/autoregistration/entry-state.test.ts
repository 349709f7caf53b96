import { expect, test } from "vitest";
import { connectAnnotations, decideCleanup, planConnect, planDisconnect } from "./entry-state.ts";

const at = (ms: number): string => `1970-01-01T00:00:0${ms / 1000}.000Z`;
const a = (connectedAtMs: number) => ({ instance: "a", connectedAtMs });
const connected = (instance: string, ms: number) => connectAnnotations({ instance, connectedAtMs: ms });
const left = (instance: string, ms: number) => ({
  "istio.io/workloadController": instance,
  "istio.io/disconnectedAt": at(ms),
});
const takesOver = { ...connected("a", 3000), "istio.io/disconnectedAt": null };

test.each([
  ["an entry that nobody looked after", {}, takesOver],
  ["one that was left before", left("b", 2000), takesOver],
  ["one that was left after the connection began", left("a", 4000), undefined],
  ["one of an older connection elsewhere", connected("b", 2000), takesOver],
  ["one of a newer connection elsewhere", connected("b", 4000), undefined],
  ["one that says it already", connected("a", 3000), undefined],
  ["one of the same moment elsewhere", connected("b", 3000), takesOver],
  ["one with times that nobody can read", { "istio.io/connectedAt": "noon" }, takesOver],
  ["one with nanoseconds", { "istio.io/connectedAt": "1970-01-01T00:00:02.999999999Z" }, takesOver],
])("a connection at 3 s and %s", (_, annotations, expected) => {
  expect(planConnect(annotations, a(3000))).toEqual(expected);
});

const leaves = { "istio.io/connectedAt": null, "istio.io/disconnectedAt": at(5000) };

test.each([
  ["as it was connected", connected("a", 3000), leaves],
  ["connected anew here", connected("a", 4000), undefined],
  ["taken over by another replica at the same moment", connected("b", 3000), undefined],
  ["told already", left("a", 5000), undefined],
  ["told of an earlier end", left("a", 4000), leaves],
  ["without a word about connections", {}, undefined],
])("the end at 5 s of a connection of 3 s, on an entry %s", (_, annotations, expected) => {
  expect(planDisconnect(annotations, a(3000), 5000)).toEqual(expected);
});

const made = { "istio.io/autoRegistrationGroup": "group" };
const unlimited = Number.POSITIVE_INFINITY;

test.each([
  ["made and left long ago", { ...made, ...left("b", 1000) }, false, unlimited, "delete"],
  ["made and left a moment ago", { ...made, ...left("b", 7000) }, false, unlimited, undefined],
  ["made and connected", { ...made, ...connected("b", 1000) }, false, unlimited, undefined],
  ["made and connected again", { ...made, ...left("b", 1000), ...connected("b", 1000) }, false, unlimited, undefined],
  ["made and connected longer than is possible", { ...made, ...connected("b", 1000) }, false, 6000, "delete"],
  ["made and never connected", made, true, unlimited, undefined],
  ["made and left at noon", { ...made, "istio.io/disconnectedAt": "noon" }, false, unlimited, "delete"],
  ["written and left, with health", left("b", 1000), true, unlimited, "clearHealth"],
  ["written and left, without health", left("b", 1000), false, unlimited, undefined],
  ["written, with health from elsewhere", { "istio.io/disconnectedAt": at(1000) }, true, unlimited, undefined],
] as const)("an entry %s", (_, annotations, hasHealth, maxAgeMs, expected) => {
  expect(decideCleanup({ annotations, hasHealth }, { nowMs: 8000, graceMs: 5000, maxAgeMs })).toBe(expected);
});
