import { expect, test } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import { createSnapshotBuilder } from "../snapshot/build.ts";
import type { SnapshotChange } from "../snapshot/snapshot.ts";
import type { Generators } from "../translate/generators.ts";
import { internNames } from "./name-set.ts";
import { ResourceStore } from "./resource-store.ts";

/** A store over generators that count how often they run; the scope of a proxy is its namespace, the workload its id. */
function start() {
  const clock = new TestClock();
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  const counts = { clusters: 0, inbound: 0, endpoints: 0, routes: 0 };
  const failures: string[] = [];
  const state = { isFailing: false, version: 1 };
  const generate = <Value>(kind: keyof typeof counts, value: Value): Value => {
    counts[kind] += 1;
    if (state.isFailing) throw new Error("fails");
    return value;
  };
  const generators = {
    deriveKeys: (_snapshot: unknown, { namespace, id }: MeshProxy) => {
      const scope = { id: namespace, namespace, proxyType: "sidecar" };
      const listener = { id: "l", scope };
      return { scope, listener, workload: { id, listener } };
    },
    createScopeView: (snapshot: unknown, key: unknown) => ({ snapshot, key }),
    createWorkloadView: (scope: unknown, key: unknown) => ({ scope, key }),
    outboundClusters: () => {
      return generate("clusters", [
        { name: "out", message: { name: "out", alt_stat_name: `v${state.version}` }, sources: [] },
      ]);
    },
    inboundClusters: () => generate("inbound", [{ name: "in", message: { name: "in" }, sources: [] }]),
    outboundListeners: () => [],
    inboundListeners: () => [],
    routeConfiguration: (_view: unknown, name: string) => generate("routes", { name, message: { name }, sources: [] }),
    routeNames: () => ["80"],
    loadAssignment: (_view: unknown, name: string) => {
      const message = { cluster_name: name, endpoints: [{ priority: state.version }] };
      return generate("endpoints", { name, message, sources: [] });
    },
    loadAssignmentNames: () => ["a", "b"],
    serviceOfLoadAssignment: (_view: unknown, name: string) => `ns/${name}`,
  };
  const store = new ResourceStore({
    generators: generators as unknown as Generators,
    clock,
    lingerMs: 1000,
    report: ({ type, name }) => void failures.push(`${type.type} ${name}`),
  });
  const change = (part: Partial<SnapshotChange>): void => {
    store.apply({ ...builder.apply({ changes: [], problems: [] }), ...part });
  };
  change({ before: undefined });
  return { store, clock, counts, failures, state, change };
}

const proxyOf = (id: string, namespace = "shop"): MeshProxy =>
  ({ id, namespace, addresses: ["10.0.0.1"] }) as unknown as MeshProxy;

test("proxies of a scope share its resources, those of a workload their sets", () => {
  const { store, counts } = start();
  const [first, same, other] = [proxyOf("a"), proxyOf("a"), proxyOf("b")].map((proxy) => store.acquire(proxy));
  const sets = [first, same, other].map((handle) => handle?.resolve("cds", undefined)?.set);
  expect(sets[0]).toBe(sets[1]);
  expect(sets[2]?.parts[0]).toBe(sets[0]?.parts[0]);
  expect(sets[2]?.version).toBe(sets[0]?.version);
  expect(counts).toMatchObject({ clusters: 1, inbound: 2 });
  expect(store.count()).toEqual({ scopes: 1, listeners: 1, workloads: 2 });
});

test("a change of endpoints makes the load assignments of those services anew and nothing else", () => {
  const { store, counts, change, state } = start();
  const handle = store.acquire(proxyOf("a"));
  const names = internNames(["a", "b"]);
  const resolve = () => {
    for (const type of ["cds", "rds"] as const) handle.resolve(type, undefined);
    return handle.resolve("eds", names)?.set;
  };
  const before = resolve();
  expect(counts).toEqual({ clusters: 1, inbound: 1, endpoints: 2, routes: 1 });
  state.version = 2;
  change({ endpoints: new Set(["ns/b"]) });
  const after = resolve();
  expect(counts).toEqual({ clusters: 1, inbound: 1, endpoints: 3, routes: 1 });
  expect(after?.version).not.toBe(before?.version);
  expect(after?.parts[0]?.byName.get("a")).toBe(before?.parts[0]?.byName.get("a"));
});

test("equal results are the same set, though their messages are new", () => {
  const { store, counts, change } = start();
  const handle = store.acquire(proxyOf("a"));
  const before = handle.resolve("cds", undefined)?.set;
  change({ kinds: new Set(["DestinationRule"]) });
  expect(handle.resolve("cds", undefined)?.set).toBe(before);
  expect(counts.clusters).toBe(2);
});

test("what fails stays as it was, is reported, and is tried again after any change", () => {
  const { store, change, failures, state } = start();
  const handle = store.acquire(proxyOf("a"));
  const before = handle.resolve("cds", undefined)?.set;
  Object.assign(state, { isFailing: true, version: 2 });
  change({ kinds: new Set(["DestinationRule"]) });
  expect(handle.resolve("cds", undefined)?.set).toBe(before);
  expect(failures).toContain("cds ");
  const count = failures.length;
  handle.resolve("cds", undefined);
  expect(failures).toHaveLength(count);
  state.isFailing = false;
  change({ kinds: new Set(["Secret"]) });
  expect(handle.resolve("cds", undefined)?.set.version).not.toBe(before?.version);
});

test("what fails without an earlier form is not known: neither empty nor gone", () => {
  const { store, state } = start();
  state.isFailing = true;
  const handle = store.acquire(proxyOf("a"));
  expect(handle.resolve("cds", undefined)).toBeUndefined();
  expect(handle.resolve("eds", internNames(["a"]))?.isComplete).toBe(false);
});

test("resources outlive their last proxy for a while, and are then let go", () => {
  const { store, clock, counts } = start();
  const first = store.acquire(proxyOf("a"));
  first.resolve("cds", undefined);
  first.release();
  first.release();
  clock.advance(500);
  const again = store.acquire(proxyOf("a"));
  again.resolve("cds", undefined);
  expect(counts.clusters).toBe(1);
  clock.advance(5000);
  expect(store.count().scopes).toBe(1);
  again.release();
  clock.advance(1000);
  expect(store.count()).toEqual({ scopes: 0, listeners: 0, workloads: 0 });
});
