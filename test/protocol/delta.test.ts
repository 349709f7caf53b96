/** Section D of the checklist: the incremental variant. */
import fc from "fast-check";
import { expect } from "vitest";
import type { Received } from "../support/xds-client.ts";
import { cases, startRig } from "../support/xds-client-cases.ts";
import { arbitraryHistory, playHistory } from "../support/xds-client-histories.ts";
import { nodeOf, type TableType, typeUrls, XdsRig } from "../support/xds-client-rig.ts";
import { type DeltaNames, DeltaSession } from "../support/xds-client-session.ts";

const all: readonly TableType[] = ["cds", "eds", "lds", "rds"];
const whole: readonly TableType[] = ["cds", "lds"];

/** A rig with resources "a" and "b" of a type. */
async function startWith(type: TableType): Promise<XdsRig> {
  const rig = await startRig();
  rig.set(type, "a", 1).set(type, "b", 1).commit();
  return rig;
}

async function begin(type: TableType, names: DeltaNames) {
  const rig = await startWith(type);
  const session = new DeltaSession(rig, type);
  return { rig, session, first: await session.begin(names) };
}

const sorted = <Item>(items: readonly Item[]): readonly Item[] => [...items].sort();

function versionsOf(response: Received): { readonly [name: string]: string } {
  return Object.fromEntries(response.resources.map(({ name, version }) => [name, version]));
}

cases.add("D-1", "a first request without names asks for everything", whole, async (type) => {
  const { first } = await begin(type, {});
  expect(sorted(first.names)).toEqual(["a", "b"]);
});

cases.add("D-2", '"*" asks for everything', whole, async (type) => {
  const { first } = await begin(type, { subscribe: ["*"] });
  expect(sorted(first.names)).toEqual(["a", "b"]);
});

cases.add("D-3", "a name beside everything is answered and everything stays", whole, async (type) => {
  const { rig, session } = await begin(type, {});
  session.request({ subscribe: ["a"] });
  expect((await session.nextAck()).names).toEqual(["a"]);
  rig.set(type, "b", 2).commit();
  expect((await session.nextAck()).names).toEqual(["b"]);
});

cases.add("D-4", "everything is dropped, the name stays", whole, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["*", "a"] });
  session.request({ unsubscribe: ["*"] });
  await session.quiet();
  rig.set(type, "b", 2).commit();
  await session.quiet();
  rig.set(type, "a", 2).commit();
  expect((await session.nextAck()).names).toEqual(["a"]);
});

cases.add("D-5", "then the name is dropped: nothing is left", whole, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["*", "a"] });
  session.request({ unsubscribe: ["*"] });
  session.request({ unsubscribe: ["a"] });
  await session.quiet();
  rig.set(type, "a", 2).set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("D-6", '"*" in both lists of the first request subscribes to nothing', whole, async (type) => {
  const rig = await startWith(type);
  const session = new DeltaSession(rig, type);
  session.request({ subscribe: ["*"], unsubscribe: ["*"] });
  await session.quiet();
  session.request({ subscribe: ["a"] });
  expect((await session.nextAck()).names).toEqual(["a"]);
});

cases.add("D-7", "a name that is held and unchanged is sent again", all, async (type) => {
  const { session } = await begin(type, { subscribe: ["a"] });
  session.request({ subscribe: ["a"] });
  expect((await session.nextAck()).names).toEqual(["a"]);
});

cases.add("D-8", "an unknown name is said to be removed", all, async (type) => {
  const { session, first } = await begin(type, { subscribe: ["a", "late"] });
  expect([first.names, first.removed]).toEqual([["a"], ["late"]]);
  session.request({ subscribe: ["later"] });
  expect((await session.nextAck()).removed).toEqual(["later"]);
});

cases.add("D-9", "an unknown name is sent when it comes", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["late"] });
  rig.set(type, "late", 1).commit();
  expect((await session.nextAck()).names).toEqual(["late"]);
});

cases.add("D-10", "a deleted resource is removed, once", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a", "b"] });
  rig.set(type, "a", undefined).commit();
  const response = await session.nextAck();
  expect([response.names, response.removed]).toEqual([[], ["a"]]);
  rig.commit();
  await session.quiet();
});

cases.add("D-11", "a change sends that resource alone", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a", "b"] });
  rig.set(type, "b", 2).commit();
  const response = await session.nextAck();
  expect([response.names, response.removed]).toEqual([["b"], []]);
});

cases.add("D-12", "dropping a name is not answered", all, async (type) => {
  const { session } = await begin(type, { subscribe: ["a", "b"] });
  session.request({ unsubscribe: ["b"] });
  await session.quiet();
});

cases.add("D-13", "a name dropped beside everything is answered with what it is now", whole, async (type) => {
  const { session } = await begin(type, { subscribe: ["*", "a", "missing"] });
  session.request({ unsubscribe: ["a", "missing"] });
  const response = await session.nextAck();
  expect([response.names, response.removed]).toEqual([["a"], ["missing"]]);
});

cases.add("D-14", "dropping what was not asked for changes nothing", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a"] });
  session.request({ unsubscribe: ["b", "never"] });
  await session.quiet();
  rig.set(type, "a", 2).commit();
  expect((await session.nextAck()).names).toEqual(["a"]);
});

cases.add("D-15", "changes of a dropped name are not sent", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a", "b"] });
  session.request({ unsubscribe: ["b"] });
  await session.quiet();
  rig.set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("D-16", "dropped and asked for again in two requests: sent again", all, async (type) => {
  const { session } = await begin(type, { subscribe: ["a"] });
  session.request({ unsubscribe: ["a"] });
  session.request({ subscribe: ["a"] });
  expect((await session.nextAck()).names).toEqual(["a"]);
  await session.quiet();
});

cases.add("D-17", "a name in both lists of a request ends dropped", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a"] });
  session.request({ subscribe: ["b"], unsubscribe: ["b"] });
  await session.quiet();
  rig.set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("D-18", "a reconnect that has everything gets an answer without resources", all, async (type) => {
  const { rig, first } = await begin(type, { subscribe: ["a", "b"] });
  const again = new DeltaSession(rig, type);
  const response = await again.begin({ subscribe: ["a", "b"], initial: versionsOf(first) });
  expect([response.names, response.removed]).toEqual([[], []]);
  rig.set(type, "a", 2).commit();
  expect((await again.nextAck()).names).toEqual(["a"]);
});

cases.add("D-19", "a reconnect gets what is outdated", all, async (type) => {
  const { rig, first } = await begin(type, { subscribe: ["a", "b"] });
  rig.set(type, "b", 2).commit();
  const response = await new DeltaSession(rig, type).begin({ subscribe: ["a", "b"], initial: versionsOf(first) });
  expect(response.names).toEqual(["b"]);
});

cases.add("D-20", "a reconnect learns what is no longer there", all, async (type) => {
  const { rig, first } = await begin(type, { subscribe: ["a", "b"] });
  rig.set(type, "b", undefined).commit();
  const response = await new DeltaSession(rig, type).begin({ subscribe: ["a", "b"], initial: versionsOf(first) });
  expect([response.names, response.removed]).toEqual([[], ["b"]]);
});

cases.add("D-21", "having a resource does not subscribe to it", all, async (type) => {
  const { rig, first } = await begin(type, { subscribe: ["a", "b"] });
  const again = new DeltaSession(rig, type);
  await again.begin({ subscribe: ["a"], initial: versionsOf(first) });
  rig.set(type, "b", 2).commit();
  await again.quiet();
});

cases.add("D-22", "initial versions in a later request are ignored", all, async (type) => {
  const { session, first } = await begin(type, { subscribe: ["a"] });
  session.request({ subscribe: ["a"], initial: { ...versionsOf(first), b: "x" } });
  expect((await session.nextAck()).names).toEqual(["a"]);
  await session.quiet();
});

cases.add("D-23", "a version that nobody gave is outdated", all, async (type) => {
  const rig = await startWith(type);
  const initial = { a: "\u0000garbage".repeat(100), b: "" };
  const response = await new DeltaSession(rig, type).begin({ subscribe: ["a", "b"], initial });
  expect(sorted(response.names)).toEqual(["a", "b"]);
});

cases.add("D-24", "a request with a stale nonce still changes the subscription", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a"] });
  const stale = session.last?.nonce ?? "";
  rig.set(type, "a", 2).commit();
  await session.nextAck();
  session.request({ subscribe: ["b"], nonce: `not-${stale}` });
  expect((await session.nextAck()).names).toEqual(["b"]);
  session.request({ unsubscribe: ["a"], nonce: stale });
  await session.quiet();
  rig.set(type, "a", 3).commit();
  await session.quiet();
});

cases.add("D-25", "a nonce without an error is taken, one with an error refused", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a"] });
  await session.quiet();
  expect(watchOf(rig, type)?.nonceAcked).toBe(session.last?.nonce);
  rig.set(type, "a", 2).commit();
  await session.next();
  session.nack("no");
  await session.quiet();
  expect(watchOf(rig, type)?.lastError).toBe("no");
});

cases.add("D-26", "after a refusal the difference starts from what was taken", all, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a", "b"] });
  rig.set(type, "a", 2).set(type, "b", 2).commit();
  await session.next();
  session.nack();
  rig.commit();
  await session.quiet();
  rig.set(type, "b", 3).commit();
  // "a" was refused along with "b": the client still has its first version.
  expect(sorted((await session.nextAck()).names)).toEqual(["a", "b"]);
  await session.quiet();
});

cases.add("D-27", "a request is answered while a response waits for its answer", all, async (type) => {
  const rig = await startWith(type);
  const session = new DeltaSession(rig, type);
  session.request({ subscribe: ["a"] });
  await session.next();
  session.request({ subscribe: ["b"] });
  expect((await session.next()).names).toEqual(["b"]);
});

cases.add("D-28", "an acknowledgement may subscribe", all, async (type) => {
  const rig = await startWith(type);
  const session = new DeltaSession(rig, type);
  session.request({ subscribe: ["a"] });
  const first = await session.next();
  session.request({ subscribe: ["b"], nonce: first.nonce });
  expect((await session.nextAck()).names).toEqual(["b"]);
  await session.quiet();
  expect(rig.counter("pilot_xds_expired_nonce", type)).toBe(0);
});

cases.add("D-29", "equal content has an equal version", all, async (type) => {
  const { rig, session, first } = await begin(type, { subscribe: ["a"] });
  const versions = [first.resources[0]?.version];
  for (const value of [2, 1]) {
    rig.set(type, "a", value).commit();
    versions.push((await session.nextAck()).resources[0]?.version);
  }
  expect(versions[0]).not.toBe("");
  expect(versions[1]).not.toBe(versions[0]);
  expect(versions[2]).toBe(versions[0]);
});

cases.add("D-30", "the outer name is the inner one", all, async (type) => {
  // The client compares them for every resource that it decodes.
  const { first } = await begin(type, { subscribe: ["a", "b"] });
  expect(sorted(first.names)).toEqual(["a", "b"]);
});

cases.addNotOffered("D-31", "no resource has aliases", async () => {
  for (const type of all) {
    const { first } = await begin(type, { subscribe: ["a", "b"] });
    expect(first.resources.flatMap(({ aliases }) => aliases)).toEqual([]);
    expect(first.resources).toHaveLength(2);
  }
});

cases.addNotOffered("D-32", "virtual hosts on demand are no type of this server", async () => {
  const rig = await startWith("cds");
  const stream = rig.open("delta");
  const virtualHost = "type.googleapis.com/envoy.config.route.v3.VirtualHost";
  stream.send({ node: nodeOf(), type_url: virtualHost, resource_names_subscribe: ["a/a.example"] });
  stream.send({ type_url: typeUrls.cds });
  // Requests are answered in order, so an answer to the first would have come first.
  expect((await stream.next()).typeUrl).toBe(typeUrls.cds);
});

cases.add("D-33", "a change of one service never removes the others", ["eds"] as const, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a", "b", "barrier"] });
  rig.set(type, "a", 2).commitEndpoints("a");
  const response = await session.nextAck();
  expect([response.names, response.removed]).toEqual([["a"], []]);
});

// A hundred histories of each type over gRPC; a thousand run on the reducers alone, in src/xds/equivalence.test.ts.
cases.add("D-34", "after any history both variants leave a client with the same", all, async (type) => {
  const property = fc.asyncProperty(arbitraryHistory(type), async (steps) => {
    const rig = await XdsRig.start();
    try {
      const { sotw, delta } = await playHistory(rig, type, steps);
      const fresh = new DeltaSession(rig, type);
      const { resources } = await fresh.begin({ subscribe: [...delta.wanted] });
      const existing = new Map(resources.map(({ name, bytes }) => [name, Buffer.from(bytes).toString("hex")]));
      expect(sorted([...delta.held])).toEqual(sorted([...existing]));
      // Routes and load assignments cannot be taken away in the state of the world: what exists is compared.
      const comparable = [...sotw.held].filter(([name]) => whole.includes(type) || existing.has(name));
      expect(sorted(comparable)).toEqual(sorted([...existing]));
    } finally {
      await rig.stop();
    }
  });
  await fc.assert(property, { numRuns: 100, interruptAfterTimeLimit: 20_000 });
});

cases.add("D-35", "a service without endpoints keeps its load assignment", ["eds"] as const, async (type) => {
  const { rig, session } = await begin(type, { subscribe: ["a"] });
  // Value 0 encodes as an assignment without a word: it is there all the same.
  rig.set(type, "a", 0).commitEndpoints("a");
  const response = await session.nextAck();
  expect([response.names, response.removed]).toEqual([["a"], []]);
});

cases.add("D-36", "of very many resources a change sends one", ["cds"] as const, async (type) => {
  const rig = await startRig();
  for (let index = 0; index < 100_000; index++) rig.set(type, `n${index}`, 1);
  rig.commit();
  const session = new DeltaSession(rig, type);
  expect((await session.begin({})).names).toHaveLength(100_000);
  rig.set(type, "n7", 2).commit();
  expect((await session.nextAck()).names).toEqual(["n7"]);
});

function watchOf(rig: XdsRig, type: TableType) {
  return rig.server.debug.listConnections()[0]?.watches.get(typeUrls[type]);
}
