import { expect, test } from "vitest";
import type { Message } from "../lib/message.ts";
import { buildStatusPatch, deriveStatus, isStored, isUrgent, parseStatus } from "./istio-status.ts";

const object = { kind: "VirtualService", namespace: "shop", name: "cart" };
const warning: Message = {
  level: "warning",
  code: "unknown-host",
  object,
  path: "spec.hosts[0]",
  text: "no such host",
};
const error: Message = { level: "error", code: "schema", object, path: "spec.http", text: "must be a list" };
const live = { using: 5, live: 5, refused: 0, refusal: "" };
const storedOf = (patch: object) => parseStatus(JSON.parse(JSON.stringify(patch)));
const nothing = parseStatus(undefined);

test("says on how many proxies the object is live", () => {
  expect(deriveStatus(2, [], live)).toMatchObject({ isReconciled: true, message: "5/5 proxies up to date." });
  expect(deriveStatus(2, [], { ...live, live: 3 })).toMatchObject({
    isReconciled: false,
    reason: "Distributing",
    message: "3/5 proxies up to date; 2 did not take it yet.",
  });
  expect(deriveStatus(2, [], { ...live, live: 3, refused: 2, refusal: "bad route" })).toMatchObject({
    isReconciled: false,
    reason: "Refused",
    message: "3/5 proxies up to date; 2 refused it: bad route",
  });
  expect(deriveStatus(2, [])).toMatchObject({ isReconciled: true, reason: "Unused" });
});

test("errors come before everything, with field and reason", () => {
  const content = deriveStatus(3, [warning, error], live);
  expect(content).toMatchObject({
    isReconciled: false,
    reason: "ValidationFailed",
    message: "spec.http: must be a list. The last good form stays.",
  });
  expect(content.validationMessages).toEqual([
    { type: { name: "Schema", code: "schema" }, level: "ERROR", message: "spec.http: must be a list" },
    { type: { name: "UnknownHost", code: "unknown-host" }, level: "WARNING", message: "spec.hosts[0]: no such host" },
  ]);
});

test("texts of proxies and of findings are bounded", () => {
  const long = "x".repeat(5000);
  expect(deriveStatus(1, [], { ...live, live: 0, refused: 1, refusal: long }).message.length).toBeLessThan(400);
  const many = Array.from({ length: 200 }, () => ({ ...error, text: long }));
  const content = deriveStatus(1, many, live);
  expect(content.message.length).toBeLessThan(1100);
  expect(content.validationMessages).toHaveLength(50);
});

test("what was written is recognised, also where the CRD drops the texts", () => {
  const content = deriveStatus(2, [warning], live);
  const patch = buildStatusPatch(content, nothing, 0);
  expect(isStored(storedOf(patch), content)).toBe(true);
  const bare = { ...patch, validationMessages: [{ type: content.validationMessages[0]?.type, level: "WARNING" }] };
  expect(isStored(storedOf(bare), content)).toBe(true);
  expect(isStored(storedOf({ ...patch, observedGeneration: "2" }), content)).toBe(true);
  expect(isStored(storedOf({ ...patch, observedGeneration: 1 }), content)).toBe(false);
  expect(isStored(storedOf({ ...patch, validationMessages: [] }), content)).toBe(false);
  expect(isStored(nothing, content)).toBe(false);
});

test("the time of the transition moves with the status alone, and conditions of others stay", () => {
  const other = { type: "PassedAnalysis", status: "True" };
  const first = storedOf({ conditions: [other] });
  const before = storedOf(buildStatusPatch(deriveStatus(1, [], live), first, 1_767_225_600_000));
  expect(before.others).toEqual([other]);
  expect(before.lastTransitionTime).toBe("2026-01-01T00:00:00Z");
  const sixth = deriveStatus(2, [], { ...live, using: 6, live: 6 });
  const same = storedOf(buildStatusPatch(sixth, before, 1_767_312_000_000));
  expect(same.lastTransitionTime).toBe("2026-01-01T00:00:00Z");
  const behind = deriveStatus(2, [], { ...live, live: 1 });
  expect(storedOf(buildStatusPatch(behind, same, 1_767_398_400_000)).lastTransitionTime).toBe("2026-01-03T00:00:00Z");
});

test("counts that move with the proxies can wait, what somebody waits for cannot", () => {
  const stored = storedOf(buildStatusPatch(deriveStatus(2, [], live), nothing, 0));
  expect(isUrgent(stored, deriveStatus(2, [], { ...live, using: 6, live: 6 }))).toBe(false);
  expect(isUrgent(stored, deriveStatus(2, [], { ...live, using: 6 }))).toBe(false);
  expect(isUrgent(stored, deriveStatus(2, []))).toBe(false);
  expect(isUrgent(stored, deriveStatus(3, [], { ...live, live: 0 }))).toBe(true);
  expect(isUrgent(stored, deriveStatus(2, [warning], live))).toBe(true);
  expect(isUrgent(stored, deriveStatus(2, [], { ...live, live: 4, refused: 1 }))).toBe(true);
  expect(isUrgent(nothing, deriveStatus(2, [], live))).toBe(true);
  const behind = storedOf(buildStatusPatch(deriveStatus(3, [], { ...live, live: 1 }), nothing, 0));
  expect(isUrgent(behind, deriveStatus(3, [], live))).toBe(true);
});
