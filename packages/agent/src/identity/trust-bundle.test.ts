import { expect, test } from "vitest";
import { createRootAuthority } from "../../../../src/ca/authority.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { mergeRoots } from "./trust-bundle.ts";

const now = systemClock.now();
const hour = 3_600_000;
const rootUntil = async (endMs: number): Promise<string> => {
  const made = { organization: "cluster.local", lifetimeMs: hour, nowMs: endMs - hour };
  return (await createRootAuthority(made)).certificate;
};
const [one, two, over] = [await rootUntil(now + hour), await rootUntil(now + hour), await rootUntil(now - hour)];
const count = (pem: string): number => pem.split("BEGIN CERTIFICATE").length - 1;
const broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

test.each([
  { name: "both stand", texts: [one, two], holds: [one, two], expired: 0, unreadable: 0 },
  { name: "each stands once", texts: [one + two, two, one], holds: [one, two], expired: 0, unreadable: 0 },
  { name: "expired ones are left out", texts: [one, over], holds: [one], expired: 1, unreadable: 0 },
  { name: "where nothing else is there they stay", texts: [over], holds: [over], expired: 0, unreadable: 0 },
  { name: "a damaged one spoils no other", texts: [broken + one], holds: [one], expired: 0, unreadable: 1 },
  {
    name: "text around them does not matter",
    texts: [`# root\r\n${one.replaceAll("\n", "\r\n")}`],
    holds: [one],
    expired: 0,
    unreadable: 0,
  },
  { name: "nothing", texts: ["", "no certificate"], holds: [], expired: 0, unreadable: 0 },
])("CA-25 roots are united: $name", ({ texts, holds, expired, unreadable }) => {
  const bundle = mergeRoots(texts, now);
  expect(count(bundle.roots)).toBe(holds.length);
  for (const root of holds) expect(bundle.roots).toContain(root.trim());
  expect([bundle.expired, bundle.unreadable]).toEqual([expired, unreadable]);
});

test("their order does not depend on where they came from", () => {
  expect(mergeRoots([one, two], now)).toEqual(mergeRoots([two, one], now));
});
