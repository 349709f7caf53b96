import { describe, expect, it } from "vitest";
import { compareByAge, compareByAgeAndFullName, type ObjectMeta } from "./object.ts";

const at = (name: string, namespace: string, creationTimestamp?: string): { readonly meta: ObjectMeta } => ({
  meta: { name, namespace, labels: {}, annotations: {}, ...(creationTimestamp !== undefined && { creationTimestamp }) },
});
const order = (objects: readonly { readonly meta: ObjectMeta }[], compare: typeof compareByAge): readonly string[] =>
  [...objects].sort(compare).map(({ meta }) => `${meta.namespace}/${meta.name}`);

describe("compareByAge", () => {
  it("puts the older object first, and one without a time before all others", () => {
    const objects = [at("a", "x", "2026-02-01T00:00:00Z"), at("b", "x", "2026-01-01T00:00:00Z"), at("c", "x")];
    expect(order(objects, compareByAge)).toEqual(["x/c", "x/b", "x/a"]);
  });

  it("falls back to the name, then to the namespace: a name comes before those that go on with a hyphen", () => {
    const objects = [at("edge-beta", "a"), at("edge", "z"), at("edge", "b")];
    expect(order(objects, compareByAge)).toEqual(["b/edge", "z/edge", "a/edge-beta"]);
  });
});

describe("compareByAgeAndFullName", () => {
  it("reads name and namespace as one text, in which a hyphen comes before the dot", () => {
    const objects = [at("edge", "a"), at("edge-beta", "z"), at("late", "a"), at("early", "a", "")];
    expect(order(objects, compareByAgeAndFullName)).toEqual(["a/early", "z/edge-beta", "a/edge", "a/late"]);
  });
});
