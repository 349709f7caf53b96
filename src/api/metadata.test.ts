import { expect, test } from "vitest";
import { createFindings, formatPath } from "./findings.ts";
import { parseMetadata } from "./metadata.ts";

function said(metadata: unknown): readonly string[] {
  const findings = createFindings();
  parseMetadata({ metadata }, true, findings);
  return findings.all.map(({ path, text }) => `${formatPath(path)}: ${text}`);
}

const cases: readonly (readonly [unknown, readonly string[]])[] = [
  [{ name: "a", namespace: "b", labels: { x: null }, annotations: null, creationTimestamp: null }, []],
  [{ name: "a", creationTimestamp: "2026-01-02T03:04:05Z", generation: 3, finalizers: ["x"] }, []],
  [{ name: "a", creationTimestamp: "2026-01-02T03:04:05.123456+02:00", managedFields: [{}], ownerReferences: [] }, []],
  [{}, ["metadata.name: is required"]],
  [
    { name: "a", creationTimestamp: "yesterday" },
    ['metadata.creationTimestamp: "yesterday" is not a time as in RFC 3339'],
  ],
  [
    { name: "a", deletionTimestamp: "2026-13-02T03:04:05Z" },
    ['metadata.deletionTimestamp: "2026-13-02T03:04:05Z" is not a time as in RFC 3339'],
  ],
  [{ name: "a", generation: "1" }, ["metadata.generation: must be a number, not a string"]],
  [{ name: "a", generateName: 1 }, ["metadata.generateName: must be a string, not a number"]],
  [{ name: "a", finalizers: "x" }, ["metadata.finalizers: must be a list, not a string"]],
  [{ name: "a", finalizers: [1] }, ["metadata.finalizers[0]: must be a string, not a number"]],
  [{ name: "a", ownerReferences: ["x"] }, ["metadata.ownerReferences[0]: must be an object, not a string"]],
  [{ name: "a", labels: { x: 1 } }, ["metadata.labels.x: must be a string, not a number"]],
  [[], ["metadata: must be an object, not a list", "metadata.name: is required"]],
];
test.each(cases)("%j", (metadata, expected) => expect(said(metadata)).toEqual(expected));
