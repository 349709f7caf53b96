import { expect, test } from "vitest";
import { createTestMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";
import { listTouched } from "../push/dependency-table.ts";

const object = (apiVersion: string, kind: string, spec = "{selector: {matchLabels: {app: a}}}"): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a, namespace: shop}\nspec: ${spec}\n---\n`;
const text = [
  object("security.istio.io/v1", "AuthorizationPolicy"),
  object("security.istio.io/v1", "RequestAuthentication"),
  object("telemetry.istio.io/v1", "Telemetry"),
  object("networking.istio.io/v1beta1", "ProxyConfig"),
  object("networking.istio.io/v1", "WorkloadGroup", "{template: {labels: {app: a}}}"),
].join("");

test("objects that have no effect yet are kept and touch nothing", () => {
  const builder = createTestMesh();
  const before = builder.apply(
    setObjects(parseMeshObjects("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}")),
  ).after;
  const objects = parseMeshObjects(text).filter((item) => item.kind !== "Secret");
  const change = builder.apply(setObjects(objects));
  for (const item of objects) expect(change.after.findObject(item.kind, "shop", "a")).toBe(item);
  expect(change.kinds.size).toBe(5);
  expect([change.services.size, change.endpoints.size]).toEqual([0, 0]);
  expect(change.after.selectorPairs).toBe(before.selectorPairs);
  for (const type of ["sidecar", "router"] as const) expect(listTouched(change, type).types.size).toBe(0);

  const deletions = objects.map(({ kind }) => ({
    type: "deleted" as const,
    ref: { kind, namespace: "shop", name: "a" },
  }));
  const gone = builder.apply({ changes: deletions, problems: [] }).after;
  for (const item of objects) expect(gone.objects(item.kind)).toEqual([]);
});
