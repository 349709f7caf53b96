import { expect, test } from "vitest";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import { createMemorySource } from "./memory.ts";
import { createOverlaidSource } from "./overlay.ts";
import type { ChangeSet } from "./source.ts";

const yamlOf = (name: string, address: string): string => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: shop, annotations: {mine: "1"}}
spec: {address: ${address}}`;

const made: WorkloadEntry = {
  kind: "WorkloadEntry",
  apiVersion: "networking.istio.io/v1",
  meta: { name: "a", namespace: "shop", labels: {}, annotations: {} },
  spec: { address: "10.0.0.1" },
};
const overlay = { made, annotations: { connected: "now" } };

async function start(yaml = "") {
  const inner = createMemorySource();
  if (yaml !== "") inner.apply(yaml);
  const source = createOverlaidSource(inner);
  const applied: ChangeSet[] = [];
  const sink = { apply: (changes: ChangeSet) => void applied.push(changes) };
  /** What a reader of the changes has, as "address annotations health". */
  const held = (): Readonly<Record<string, string>> => {
    const entries = new Map<string, string>();
    for (const change of applied.flatMap(({ changes }) => changes)) {
      if (change.type === "deleted") entries.delete(change.ref.name);
      else if (change.object.kind === "WorkloadEntry") {
        const { meta, spec, status } = change.object;
        entries.set(meta.name, `${spec.address} ${Object.keys(meta.annotations).join()} ${status?.isHealthy ?? "-"}`);
      }
    }
    return Object.fromEntries(entries);
  };
  return { inner, source, applied, sink, held };
}

test("what is made comes and goes beside the objects of the source", async () => {
  const { source, sink, held } = await start(yamlOf("b", "10.0.0.2"));
  await source.start(sink);
  source.lay("shop", "a", overlay);
  expect(held()).toEqual({ b: "10.0.0.2 mine -", a: "10.0.0.1 connected -" });
  source.lay("shop", "a", undefined);
  expect(held()).toEqual({ b: "10.0.0.2 mine -" });
});

test("what was made before the start is in the first change set", async () => {
  const { source, sink, applied, held } = await start(yamlOf("b", "10.0.0.2"));
  source.lay("shop", "a", overlay);
  expect(applied).toEqual([]);
  await source.start(sink);
  expect(applied).toHaveLength(1);
  expect(held()).toEqual({ a: "10.0.0.1 connected -", b: "10.0.0.2 mine -" });
});

test("an entry of the source counts, with what is laid over it, also where it changes and goes", async () => {
  const { inner, source, sink, held } = await start(yamlOf("a", "10.0.0.2"));
  await source.start(sink);
  source.lay("shop", "a", { ...overlay, status: { isHealthy: false } });
  expect(held()).toEqual({ a: "10.0.0.2 mine,connected false" });
  inner.apply(yamlOf("a", "10.0.0.3"));
  expect(held()).toEqual({ a: "10.0.0.3 mine,connected false" });
  inner.delete({ kind: "WorkloadEntry", namespace: "shop", name: "a" });
  expect(held()).toEqual({ a: "10.0.0.1 connected false" });
  inner.apply(yamlOf("a", "10.0.0.4"));
  source.lay("shop", "a", undefined);
  expect(held()).toEqual({ a: "10.0.0.4 mine -" });
});

test("marks of an entry that goes make nothing", async () => {
  const { inner, source, sink, held } = await start(yamlOf("a", "10.0.0.2"));
  await source.start(sink);
  source.lay("shop", "a", { annotations: { connected: "now" } });
  inner.delete({ kind: "WorkloadEntry", namespace: "shop", name: "a" });
  expect(held()).toEqual({});
  expect(source.find("shop", "a")).toBeUndefined();
});

test("nothing is told where nothing differs, nor after the stop; problems stay told", async () => {
  const { inner, source, sink, applied } = await start(
    `${yamlOf("b", "10.0.0.2")}\n---\n${yamlOf("c", "no address!")}`,
  );
  await source.start(sink);
  source.lay("shop", "a", overlay);
  source.lay("shop", "a", { ...overlay, annotations: { ...overlay.annotations } });
  expect(applied.map(({ problems }) => problems.length)).toEqual([1, 1]);
  await source.stop();
  source.lay("shop", "a", undefined);
  inner.apply(yamlOf("b", "10.0.0.9"));
  expect(applied).toHaveLength(2);
});
