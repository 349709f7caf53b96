import { expect, it } from "vitest";
import { ObjectTable } from "./object-table.ts";
import { listTargets } from "./watch-target.ts";

function createTable(): ObjectTable {
  const [target] = listTargets({ kinds: ["ServiceEntry"], systemNamespace: "istio-system", secretNamespaces: [] });
  if (target === undefined) throw new Error("there is no such kind");
  return new ObjectTable(target);
}

const entryAt = (resourceVersion: string, uid = "1"): object => ({
  kind: "ServiceEntry",
  metadata: { name: "one", namespace: "shop", uid, resourceVersion },
  spec: { hosts: [`v${resourceVersion}.example.com`], resolution: "DNS", ports: [{ number: 80, name: "http" }] },
});
const doubted = { version: "v1", isDoubted: true };
const types = (table: ObjectTable): readonly string[] =>
  table.takeChanges().flatMap(({ changes }) => changes.map(({ type }) => type));

it("a change from before a deletion that is being confirmed does not take it back", () => {
  const table = createTable();
  table.apply("ADDED", entryAt("5"), doubted);
  expect(types(table)).toEqual(["set"]);
  table.apply("DELETED", entryAt("8"), doubted);
  table.apply("MODIFIED", entryAt("7"), doubted);
  expect(table.hasDoubtedDeletions).toBe(true);
  table.confirmDeletions();
  expect(types(table)).toEqual(["deleted"]);
});

it("an object that is made anew takes the deletion of the one before back", () => {
  const table = createTable();
  table.apply("ADDED", entryAt("5"), doubted);
  table.apply("DELETED", entryAt("8"), doubted);
  table.apply("ADDED", entryAt("9", "2"), doubted);
  expect(table.hasDoubtedDeletions).toBe(false);
  table.confirmDeletions();
  expect(types(table)).toEqual(["set"]);
});
