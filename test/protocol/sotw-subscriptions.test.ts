/** Section C of the checklist: what a client of the state of the world asks for, and what it gets. */
import { expect } from "vitest";
import type { Received } from "../support/xds-client.ts";
import { cases, startRig } from "../support/xds-client-cases.ts";
import { nodeOf, type TableType, typeUrls, type XdsRig } from "../support/xds-client-rig.ts";
import { SotwSession } from "../support/xds-client-session.ts";

const whole: readonly TableType[] = ["cds", "lds"];
const named: readonly TableType[] = ["eds", "rds"];

/** A rig with resources "a", "b" and "c" of a type. */
async function startWith(type: TableType): Promise<XdsRig> {
  const rig = await startRig();
  rig.set(type, "a", 1).set(type, "b", 1).set(type, "c", 1).commit();
  return rig;
}

async function begin(type: TableType, names: readonly string[]) {
  const rig = await startWith(type);
  const session = new SotwSession(rig, type);
  return { rig, session, first: await session.begin(names) };
}

const sorted = (response: Received): readonly string[] => [...response.names].sort();

cases.add("C-1", "a first request without names asks for everything", whole, async (type) => {
  const { first } = await begin(type, []);
  expect(sorted(first)).toEqual(["a", "b", "c"]);
});

cases.add("C-2", '"*" asks for everything', ["cds", "lds", "eds"] as const, async (type) => {
  const { first } = await begin(type, ["*"]);
  expect(sorted(first)).toEqual(type === "eds" ? ["a", "b", "barrier", "c"] : ["a", "b", "c"]);
});

cases.add("C-3", '"*" and a name ask for everything', whole, async (type) => {
  const { first } = await begin(type, ["*", "a"]);
  expect(sorted(first)).toEqual(["a", "b", "c"]);
});

cases.add("C-4", "a name after everything asks for this one alone", whole, async (type) => {
  const { rig, session } = await begin(type, ["*", "a"]);
  session.ack(["a"]);
  expect((await session.nextAck()).names).toEqual(["a"]);
  rig.set(type, "b", 2).commit();
  await session.quiet();
  rig.set(type, "a", 2).commit();
  expect((await session.nextAck()).names).toEqual(["a"]);
});

cases.add("C-5", "no names after names ask for nothing", whole, async (type) => {
  const { rig, session } = await begin(type, ["a"]);
  session.ack([]);
  await session.quiet();
  rig.set(type, "a", 2).set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("C-6", "a first request with a name asks for this one alone", whole, async (type) => {
  const { rig, session, first } = await begin(type, ["a"]);
  expect(first.names).toEqual(["a"]);
  rig.set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("C-7", "names get what they name", named, async (type) => {
  const { first } = await begin(type, ["a"]);
  expect(first.names).toEqual(["a"]);
});

cases.add("C-8", "a name that is added is answered though unchanged", named, async (type) => {
  const { session } = await begin(type, ["a"]);
  session.ack(["a", "b"]);
  expect((await session.nextAck()).names).toContain("b");
  await session.quiet();
});

cases.add(
  "C-8",
  "a name that is added to everything is answered though it was sent",
  ["eds"] as const,
  async (type) => {
    const { session } = await begin(type, ["*"]);
    session.ack(["*", "b"]);
    expect((await session.nextAck()).names).toContain("b");
  },
);

cases.add("C-9", "a name that is dropped is not answered, nor are its changes", named, async (type) => {
  const { rig, session } = await begin(type, ["a", "b"]);
  session.ack(["a"]);
  await session.quiet();
  rig.set(type, "b", 2).commit();
  await session.quiet();
});

cases.add("C-10", "no names after names end the subscription", named, async (type) => {
  const { rig, session } = await begin(type, ["a", "b"]);
  session.ack([]);
  await session.quiet();
  rig.set(type, "a", 2).commit();
  await session.quiet();
});

cases.add("C-11", "a name that comes back is answered though unchanged", named, async (type) => {
  const { session } = await begin(type, ["a", "b"]);
  session.ack(["a"]);
  session.ack(["a", "b"]);
  expect((await session.nextAck()).names).toContain("b");
});

cases.add("C-11", "a name that goes and comes back while a response is under way is sent", named, async (type) => {
  const { rig, session } = await begin(type, ["a", "b"]);
  const stale = session.last?.nonce ?? "";
  rig.set(type, "b", 2).commit();
  await session.next();
  // Not read yet, as far as the client's requests say: the client forgets "a", and then asks for it again.
  for (const names of [["b"], ["a", "b"]]) session.subscribe(names, { version: session.version, nonce: stale });
  session.ack();
  expect((await session.nextAck()).names).toEqual(["a"]);
  await session.quiet();
});

cases.add(
  "C-12",
  "a name that is not there holds nothing up and is sent when it comes",
  [...whole, ...named],
  async (type) => {
    const { rig, session, first } = await begin(type, ["late"]);
    expect(first.names).toEqual([]);
    rig.set(type, "late", 1).commit();
    expect((await session.nextAck()).names).toEqual(["late"]);
  },
);

cases.add("C-13", "a name that is there twice counts once", named, async (type) => {
  const { session, first } = await begin(type, ["a", "a", "b"]);
  expect(sorted(first)).toEqual(["a", "b"]);
  session.ack(["b", "a"]);
  await session.quiet();
});

cases.add("C-14", "no response has a name twice", [...whole, ...named], async (type) => {
  const { rig, session } = await begin(type, ["a", "b", "a", "b"]);
  rig.set(type, "a", 2).set(type, "b", 2).commit();
  const response = await session.nextAck();
  expect(new Set(response.names).size).toBe(response.names.length);
});

cases.add("C-15", "listeners and clusters are sent whole", whole, async (type) => {
  const rig = await startRig();
  for (let index = 0; index < 100; index++) rig.set(type, `n${index}`, 1);
  rig.commit();
  const session = new SotwSession(rig, type);
  await session.begin([]);
  rig.set(type, "n50", 2).commit();
  expect((await session.nextAck()).names).toHaveLength(100);
});

cases.add("C-16", "of routes and load assignments the changed ones are sent", named, async (type) => {
  const { rig, session } = await begin(type, ["a", "b", "c"]);
  rig.set(type, "b", 2).commit();
  expect((await session.nextAck()).names).toEqual(["b"]);
});

cases.add("C-17", "a fault never empties what a proxy has", whole, async (type) => {
  const { rig, session } = await begin(type, []);
  rig.failing.add(type);
  rig.set(type, "a", 2).commit();
  await session.quiet();
  const another = new SotwSession(rig, type);
  expect(sorted(await another.begin([]))).toEqual(["a", "b", "c"]);
  const elsewhere = new SotwSession(rig, type);
  elsewhere.stream.send({ node: nodeOf("b", "elsewhere"), type_url: typeUrls[type] });
  await elsewhere.quiet();
  expect(rig.counters.get("pilot_total_xds_internal_errors ")).toBeGreaterThan(0);
  rig.failing.clear();
  rig.commit();
  expect(sorted(await session.nextAck())).toEqual(["a", "b", "c"]);
});

cases.add("C-18", "ten thousand names in one request", ["eds"] as const, async (type) => {
  const rig = await startRig();
  const names = Array.from({ length: 10_000 }, (_, index) => `outbound|80||s${index}.default.svc.cluster.local`);
  for (const name of names) rig.set(type, name, 1);
  rig.commit();
  const session = new SotwSession(rig, type);
  expect(sorted(await session.begin(names))).toEqual([...names].sort());
  session.ack([...names].reverse());
  await session.quiet();
});

cases.add("C-19", "odd names come back exactly", [...whole, ...named], async (type) => {
  const odd = ["a|b~c", "ünïcødé \u{1f6a2}", "x".repeat(4096), "__proto__", "constructor", " ", "a\nb"];
  const rig = await startRig();
  for (const name of odd) rig.set(type, name, 1);
  rig.commit();
  const session = new SotwSession(rig, type);
  expect(sorted(await session.begin(odd))).toEqual([...odd].sort());
});

cases.add("C-20", "before the mesh is read nobody gets an empty answer", whole, async (type) => {
  const rig = await startRig({ isSynced: false });
  const early = new SotwSession(rig, type);
  early.subscribe([]);
  expect((await early.stream.ended).code).toBe(14);
  expect(early.stream.received).toEqual([]);
  rig.set(type, "a", 1).commit();
  expect((await new SotwSession(rig, type).begin([])).names).toEqual(["a"]);
});

cases.add("C-21", "nothing of other namespaces is sent", [...whole, ...named], async (type) => {
  const rig = await startWith(type);
  rig.set(type, "secret", 1, "elsewhere").commit();
  const session = new SotwSession(rig, type);
  const response = await session.begin(type === "cds" || type === "lds" ? [] : ["a", "secret"]);
  expect(response.names).not.toContain("secret");
});

cases.add("C-22", "what was dropped is not sent any more", named, async (type) => {
  const rig = await startWith(type);
  const session = new SotwSession(rig, type);
  session.subscribe(["a", "b"]);
  await session.next();
  rig.set(type, "b", 2).commit();
  session.ack(["a"]);
  await session.quiet();
});
