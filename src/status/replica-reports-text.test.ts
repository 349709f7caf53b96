import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import type { ReplicaCount, ReplicaReport } from "./distribution-sum.ts";
import { buildReportLease, formatReportLabel, formatReportName, parseReportLease } from "./replica-reports-lease.ts";
import { formatReport, parseReport } from "./replica-reports-text.ts";

const countOf = (index: number, given: Partial<ReplicaCount> = {}): ReplicaCount => ({
  uid: (index * 2654435761).toString(16).slice(0, 8),
  generation: 1 + (index % 7),
  using: index,
  live: index,
  refused: 0,
  refusal: "",
  ...given,
});
const reportOf = (count: number): ReplicaReport => ({
  isPartial: false,
  counts: new Map(Array.from({ length: count }, (_, index) => [`VirtualService/shop/v-${index}`, countOf(index)])),
});
const nothing: ReplicaReport = { isPartial: true, counts: new Map() };

test.each([0, 1, 3, 2000])("a report of %i objects is read as it was written", (count) => {
  const report = reportOf(count);
  const { text, dropped } = formatReport(report);
  expect(dropped).toBe(0);
  expect(text.startsWith("gzip:")).toBe(count > 100);
  expect(parseReport(text)).toEqual(report);
});

test("refusals are kept, with as much of their text as a status shows", () => {
  const refused = countOf(3, { live: 1, refused: 2, refusal: "x".repeat(1000) });
  const { text } = formatReport({ isPartial: false, counts: new Map([["Gateway/a/b", refused]]) });
  expect(parseReport(text).counts.get("Gateway/a/b")).toEqual({ ...refused, refusal: "x".repeat(300) });
});

test("what has no room is dropped, and what most depends on stays", () => {
  const report = reportOf(2000);
  const lagging = countOf(2, { live: 1 });
  const counts = new Map(report.counts).set("VirtualService/shop/v-2", lagging);
  const { text, dropped } = formatReport({ isPartial: false, counts }, 8000);
  expect(text.length).toBeLessThanOrEqual(8000);
  const read = parseReport(text);
  expect(read.isPartial).toBe(true);
  expect(read.counts.size).toBe(2000 - dropped);
  expect(read.counts.size).toBeGreaterThan(100);
  expect(read.counts.get("VirtualService/shop/v-2")).toEqual(lagging);
  expect(read.counts.has("VirtualService/shop/v-1999")).toBe(true);
  expect(read.counts.has("VirtualService/shop/v-0")).toBe(false);
  expect(parseReport(formatReport(report, 10).text)).toEqual(nothing);
});

test.each([
  "",
  "no JSON",
  "[]",
  "gzip:####",
  '{"version":99,"objects":{}}',
  `gzip:${gzipSync(Buffer.alloc(64 * 1024 * 1024, " ")).toString("base64")}`,
])("text that is none of ours (%#) says nothing", (text) => {
  expect(parseReport(text)).toEqual(nothing);
});

test("numbers that cannot be are brought within bounds", () => {
  const text = JSON.stringify({
    version: 1,
    objects: { a: ["u", -1, 5, 9, 7, 3], b: { using: 4 }, c: ["u", 1, 1e300] },
  });
  expect([...parseReport(text).counts.values()]).toEqual([
    { uid: "u", generation: 0, using: 5, live: 5, refused: 5, refusal: "" },
    { uid: "", generation: 0, using: 0, live: 0, refused: 0, refusal: "" },
    { uid: "u", generation: 1, using: 10_000_000, live: 0, refused: 0, refusal: "" },
  ]);
});

test("a Lease is read as it was written, with a duration within bounds", () => {
  const write = {
    namespace: "istio-system",
    podName: "meltemi-0",
    revision: "",
    durationMs: 30_000,
    nowMs: 0,
    text: "t",
  };
  expect(parseReportLease(buildReportLease(write))).toEqual({
    name: "meltemi-proxies-meltemi-0",
    uid: "",
    resourceVersion: "",
    renewTime: "1970-01-01T00:00:00.000000Z",
    durationMs: 30_000,
    text: "t",
  });
  expect(parseReportLease(buildReportLease({ ...write, durationMs: 1e9 })).durationMs).toBe(300_000);
  expect(parseReportLease(undefined)).toMatchObject({ name: "", durationMs: 0, text: "" });
});

test("names and labels are such as Kubernetes takes, and differ where what they are made of does", () => {
  const pods = [
    "meltemi-6d4f5-x2x9k",
    "Meltemi_1",
    "meltemi_1",
    "a..b",
    "-",
    "",
    "x".repeat(300),
    `${"x".repeat(300)}y`,
  ];
  const names = pods.map(formatReportName);
  expect(new Set(names).size).toBe(pods.length);
  for (const name of names) expect(name).toMatch(/^(?=.{1,253}$)[a-z0-9-]+(\.[a-z0-9-]+)*$/);
  expect(names[0]).toBe("meltemi-proxies-meltemi-6d4f5-x2x9k");
  expect(formatReportLabel("")).toBe("default");
  expect(formatReportLabel("next")).toBe("next");
  expect(formatReportLabel("not a label")).toMatch(/^[0-9a-f]{16}$/);
});
