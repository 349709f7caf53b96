/** Section B of the checklist: acknowledgements, refusals, nonces and versions in the state of the world. */
import { expect } from "vitest";
import { cases, startRig } from "../support/xds-client-cases.ts";
import { nodeOf, type TableType, typeUrls, type XdsRig } from "../support/xds-client-rig.ts";
import { SotwSession } from "../support/xds-client-session.ts";

const all: readonly TableType[] = ["cds", "eds", "lds", "rds"];

/** What a client of a type asks for to get the resource "a". */
function namesFor(type: TableType): readonly string[] {
  return type === "cds" || type === "lds" ? [] : ["a"];
}

async function startWith(type: TableType, value = 1): Promise<XdsRig> {
  const rig = await startRig();
  rig.set(type, "a", value).commit();
  return rig;
}

async function begin(type: TableType): Promise<{ readonly rig: XdsRig; readonly session: SotwSession }> {
  const rig = await startWith(type);
  const session = new SotwSession(rig, type);
  await session.begin(namesFor(type));
  return { rig, session };
}

function statusOf(rig: XdsRig, type: TableType) {
  const [connection] = rig.server.debug.listConnections();
  return connection?.watches.get(typeUrls[type]);
}

cases.add("B-1", "the first request is answered without a version", all, async (type) => {
  const session = new SotwSession(await startWith(type), type);
  session.subscribe(namesFor(type));
  const response = await session.next();
  expect(response.names).toEqual(["a"]);
  expect(response.version).not.toBe("");
});

cases.add("B-2", "nothing follows an acknowledgement", all, async (type) => {
  const { session } = await begin(type);
  await session.quiet();
});

cases.add("B-3", "one response for a change", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  expect((await session.nextAck()).names).toEqual(["a"]);
  await session.quiet();
});

cases.add("B-4", "what was refused is not sent again", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  await session.next();
  session.nack();
  await session.quiet();
  rig.commit();
  await session.quiet();
});

cases.add("B-5", "after a refusal a new change is sent, and taking it makes the state clean", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  const refused = await session.next();
  session.nack();
  await session.quiet();
  expect(statusOf(rig, type)?.lastError).toBe("refused");
  rig.set(type, "a", 3).commit();
  const response = await session.nextAck();
  expect([response.version === refused.version, response.nonce === refused.nonce]).toEqual([false, false]);
  await session.quiet();
  expect(statusOf(rig, type)?.lastError).toBe("");
});

cases.add("B-6", "error_detail alone makes a refusal, whatever the version says", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  const response = await session.next();
  session.nack("no", { version: response.version });
  await session.quiet();
  expect(statusOf(rig, type)?.lastError).toBe("no");
});

cases.add(
  "B-7",
  "a first response that is refused leaves nothing accepted, and the next change comes",
  all,
  async (type) => {
    const rig = await startWith(type);
    const session = new SotwSession(rig, type);
    session.subscribe(namesFor(type));
    await session.next();
    session.nack("no", { version: "" });
    await session.quiet();
    expect(statusOf(rig, type)?.nonceAcked).toBe("");
    rig.set(type, "a", 2).commit();
    expect((await session.nextAck()).names).toEqual(["a"]);
  },
);

cases.add(
  "B-8",
  "a stale nonce is counted, not answered, and changes no subscription",
  ["eds", "rds"] as const,
  async (type) => {
    const { rig, session } = await begin(type);
    const stale = session.last?.nonce;
    rig.set(type, "a", 2).set(type, "b", 1).commit();
    await session.nextAck();
    await session.quiet();
    session.stream.send({ type_url: session.typeUrl, resource_names: ["b"], response_nonce: stale });
    await session.quiet();
    expect(rig.counter("pilot_xds_expired_nonce", type)).toBe(1);
    expect(statusOf(rig, type)?.names).toEqual(["a"]);
  },
);

cases.add("B-9", "a stale refusal does not mark the newer version", all, async (type) => {
  const { rig, session } = await begin(type);
  const stale = session.last?.nonce;
  rig.set(type, "a", 2).commit();
  await session.next();
  session.nack("late", stale === undefined ? {} : { nonce: stale });
  await session.quiet();
  expect(statusOf(rig, type)?.lastError).toBe("");
  session.ack();
  await session.quiet();
  expect(statusOf(rig, type)?.nonceAcked).toBe(session.last?.nonce);
});

cases.add("B-10", "an unknown nonce on a new stream gets the whole answer", all, async (type) => {
  const rig = await startWith(type);
  const session = new SotwSession(rig, type);
  session.subscribe(namesFor(type), { version: "older", nonce: "of-another-replica" });
  expect((await session.next()).names).toEqual(["a"]);
});

cases.add("B-11", "an empty nonce in the midst of a stream begins anew", all, async (type) => {
  const { session } = await begin(type);
  const before = session.last;
  session.subscribe(namesFor(type), { version: session.version });
  const response = await session.nextAck();
  expect(response.names).toEqual(["a"]);
  expect(response.nonce).not.toBe(before?.nonce);
});

cases.add("B-12", "no nonce comes twice, also where content goes back and after a reconnect", all, async (type) => {
  const { rig, session } = await begin(type);
  const nonces = [session.last?.nonce];
  const versions = [session.last?.version];
  for (const value of [2, 1, 2, 1]) {
    rig.set(type, "a", value).commit();
    const response = await session.nextAck();
    nonces.push(response.nonce);
    versions.push(response.version);
  }
  expect(versions[2]).toBe(versions[0]);
  session.stream.halfClose();
  await session.stream.ended;
  const again = new SotwSession(rig, type);
  nonces.push((await again.begin(namesFor(type))).nonce);
  expect(new Set(nonces).size).toBe(nonces.length);
});

cases.add("B-13", "equal results are not sent", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 1).commit();
  await session.quiet();
});

cases.add("B-14", "versions belong to a type", ["rds"] as const, async (type) => {
  const rig = await startWith(type);
  rig.set("cds", "c", 1).commit();
  const routes = new SotwSession(rig, type);
  const before = await routes.begin(["a"]);
  rig.set("cds", "c", 2).commit();
  await routes.quiet();
  const again = new SotwSession(rig, type);
  expect((await again.begin(["a"])).version).toBe(before.version);
});

cases.add("B-15", "two replicas give equal content equal versions", all, async (type) => {
  const [first, second] = [await startWith(type), await startWith(type)];
  second.set(type, "gone", 1).commit();
  second.set(type, "gone", undefined).commit();
  const versions: string[] = [];
  for (const rig of [first, second]) versions.push((await new SotwSession(rig, type).begin(namesFor(type))).version);
  expect(versions[0]).toBe(versions[1]);
});

cases.add("B-16", "a reconnect with the version of now gets everything or nothing", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "b", 1).commit();
  if (type === "cds" || type === "lds") await session.nextAck();
  const again = new SotwSession(rig, type);
  again.subscribe(namesFor(type), { version: session.version });
  if (type === "cds" || type === "lds") await again.quiet();
  else expect((await again.nextAck()).names).toEqual(["a"]);
  const outdated = new SotwSession(rig, type);
  outdated.subscribe(namesFor(type), { version: "older" });
  expect((await outdated.next()).names).toEqual(type === "cds" || type === "lds" ? ["a", "b"] : ["a"]);
});

cases.add("B-17", "a reconnect with more names gets the new ones", ["eds", "rds"] as const, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "b", 1).commit();
  const again = new SotwSession(rig, type);
  again.subscribe(["a", "b"], { version: session.version });
  expect((await again.next()).names).toContain("b");
});

cases.add("B-18", "of two requests before the answer the newest counts", ["eds", "rds"] as const, async (type) => {
  const rig = await startWith(type);
  rig.set(type, "b", 1).commit();
  const session = new SotwSession(rig, type);
  session.subscribe(["a"]);
  session.subscribe(["b"]);
  let response = await session.next();
  // The requests may arrive in two turns of the server; the answer to the newest is then the second.
  if (response.names.includes("a")) response = await session.next();
  expect(response.names).toEqual(["b"]);
  session.ack();
  await session.quiet();
});

cases.add("B-19", "an acknowledgement with more names is both", ["eds", "rds"] as const, async (type) => {
  const rig = await startWith(type);
  rig.set(type, "b", 1).commit();
  const session = new SotwSession(rig, type);
  session.subscribe(["a"]);
  const first = await session.next();
  session.ack(["a", "b"]);
  expect((await session.nextAck()).names).toContain("b");
  expect(rig.counters.get(`pilot_xds_expired_nonce ${type}`)).toBeUndefined();
  expect(first.names).toEqual(["a"]);
});

cases.add("B-20", "a request that was under way is not taken for a refusal", ["eds", "rds"] as const, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).set(type, "b", 1).commit();
  // Sent before the new response is read: version and nonce are those of the earlier one.
  session.stream.send({
    type_url: session.typeUrl,
    resource_names: ["a"],
    version_info: session.version,
    response_nonce: session.last?.nonce,
  });
  expect((await session.next()).names).toEqual(["a"]);
  await session.quiet();
  expect(statusOf(rig, type)?.lastError).toBe("");
  expect(rig.counter("pilot_total_xds_rejects", type)).toBe(0);
});

cases.add("B-21", "the text of a refusal is kept on one line and of limited length", all, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  await session.next();
  session.nack(`first\nsecond${"x".repeat(10_000)}`);
  await session.quiet();
  const error = statusOf(rig, type)?.lastError ?? "";
  expect(error.startsWith("first\\nsecondxxx")).toBe(true);
  expect(error.length).toBeLessThan(3000);
  expect(rig.counter("pilot_total_xds_rejects", type)).toBe(1);
  expect(rig.rejects.get(`${type} ${nodeOf().id}`)).toBe("13");
});

cases.add("B-22", "a storm of refusals backs off, others are not held up", ["cds"] as const, async (type) => {
  const { rig, session } = await begin(type);
  const other = new SotwSession(rig, type);
  await other.begin([]);
  for (let value = 2; value < 1002; value++) {
    rig.set(type, "a", value).commit();
    await other.nextAck();
    if (session.stream.untaken === 0) continue;
    await session.next();
    session.nack();
  }
  // Three at once, then one more after each wait; the waits grow from a second to half a minute.
  const refusals = rig.counter("pilot_total_xds_rejects", type);
  expect(refusals).toBeGreaterThanOrEqual(3);
  expect(refusals).toBeLessThan(15);
});

cases.add("B-23", "an acknowledgement counts however late it comes", all, async (type) => {
  // Late means: after the server stopped waiting for it.
  const rig = await startRig({ limits: { answerMs: 1 } });
  rig.set(type, "a", 1).commit();
  const session = new SotwSession(rig, type);
  session.subscribe(namesFor(type));
  await session.next();
  await session.quiet();
  session.ack();
  await session.quiet();
  expect(statusOf(rig, type)?.nonceAcked).toBe(session.last?.nonce);
});

cases.add("B-24", "an acknowledgement of one type says nothing about another", ["cds"] as const, async (type) => {
  const { rig, session } = await begin(type);
  rig.set(type, "a", 2).commit();
  const response = await session.next();
  session.stream.send({ type_url: typeUrls.rds, resource_names: ["barrier"], response_nonce: response.nonce });
  const barrier = await session.stream.next();
  expect(barrier.typeUrl).toBe(typeUrls.rds);
  expect(statusOf(rig, type)?.nonceAcked).not.toBe(response.nonce);
});

cases.add("B-25", "an acknowledgement that comes twice changes nothing", all, async (type) => {
  const { session } = await begin(type);
  session.ack();
  session.ack();
  await session.quiet();
});
