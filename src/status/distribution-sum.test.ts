import { expect, test } from "vitest";
import { buildReport, type ReplicaReport, sumDistributions } from "./distribution-sum.ts";
import { deriveStatus, type StatusDistribution } from "./istio-status.ts";
import type { StatusObject } from "./status-writer.ts";

const key = "VirtualService/shop/cart";
const cart = (generation: number, uid = "11111111-aaaa"): StatusObject => ({
  kind: "VirtualService",
  apiVersion: "networking.istio.io/v1",
  meta: { namespace: "shop", name: "cart", uid, generation },
});
const counts = (live: number, using = live): StatusDistribution => ({ using, live, refused: 0, refusal: "" });
const meshOf = (object: StatusObject, distribution?: StatusDistribution) => ({
  objects: [object],
  distribution: new Map(distribution === undefined ? [] : [[key, distribution]]),
});
const reportOf = (object: StatusObject, distribution?: StatusDistribution): ReplicaReport =>
  buildReport(meshOf(object, distribution));
const sum = (object: StatusObject, own: StatusDistribution | undefined, ...reports: ReplicaReport[]) =>
  sumDistributions(meshOf(object, own), reports).get(key);
const messageOf = (distribution: StatusDistribution | undefined): string => deriveStatus(2, [], distribution).message;

test("counts of the same form add up, with what the first that refused it said", () => {
  const refusing = { using: 3, live: 1, refused: 2, refusal: "bad" };
  const alsoRefusing = { using: 1, live: 0, refused: 1, refusal: "worse" };
  expect(sum(cart(2), counts(2), reportOf(cart(2), refusing), reportOf(cart(2), alsoRefusing))).toEqual({
    using: 6,
    live: 3,
    refused: 3,
    refusal: "bad",
  });
  expect(messageOf(sum(cart(2), counts(2), reportOf(cart(2), counts(3))))).toBe("5/5 proxies up to date.");
});

test("an object that only proxies of others use is counted", () => {
  expect(sum(cart(2), undefined, reportOf(cart(2), counts(3)))).toEqual(counts(3));
  expect(sum(cart(2), counts(3), reportOf(cart(2)))).toEqual(counts(3));
});

test("counts of an earlier form use the object and do not have it; refusals of it are no longer news", () => {
  const refusing = { using: 3, live: 1, refused: 2, refusal: "bad" };
  expect(sum(cart(2), counts(2), reportOf(cart(1), refusing))).toEqual(counts(2, 5));
});

test("counts of a later form hold for the earlier one, refusals of it do not", () => {
  const refusing = { using: 3, live: 1, refused: 2, refusal: "bad" };
  expect(sum(cart(2), counts(2), reportOf(cart(3), refusing))).toEqual(counts(3, 5));
});

test("counts of another object of that name are of an earlier form, whatever its generation", () => {
  expect(sum(cart(1, "22222222-bbbb"), counts(2), reportOf(cart(7), counts(3)))).toEqual(counts(2, 5));
});

test("an object is not live while a replica that does not know its form may yet find proxies that use it", () => {
  const knowsNothing = buildReport({ objects: [], distribution: new Map() });
  for (const report of [knowsNothing, reportOf(cart(1))]) {
    const awaited = sum(cart(2), counts(2), report);
    expect(deriveStatus(2, [], awaited)).toMatchObject({
      isReconciled: false,
      reason: "Distributing",
      message: "2/2 proxies up to date; another replica does not know it yet.",
    });
  }
});

test("a report without room for the object makes the numbers the least that they may be", () => {
  const partial = { ...buildReport({ objects: [], distribution: new Map() }), isPartial: true };
  expect(messageOf(sum(cart(2), counts(2), partial))).toBe("At least 2/2 proxies up to date.");
  expect(messageOf(sum(cart(2), counts(2), { ...reportOf(cart(2), counts(3)), isPartial: true }))).toBe(
    "5/5 proxies up to date.",
  );
});

test("without reports, and for kinds without a status, nothing differs", () => {
  const mesh = meshOf(cart(2), counts(2));
  expect(sumDistributions(mesh, [])).toBe(mesh.distribution);
  const service = { ...cart(2), kind: "Service" };
  expect(buildReport(meshOf(service)).counts.size).toBe(0);
  expect(sumDistributions(meshOf(service), [reportOf(cart(2), counts(3))]).size).toBe(0);
});
