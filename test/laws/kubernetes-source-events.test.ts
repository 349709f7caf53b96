/** What a watch tells, and what the server refuses, by number. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { ChangeSet } from "../../src/sources/source.ts";
import { type FakeApiServer, refuse } from "../support/fake-api-server.ts";
import { eventLine, KubernetesRig, type RigOptions, rawService } from "./kubernetes-source-rig.ts";

const open: KubernetesRig[] = [];

async function openRig(options: RigOptions = {}): Promise<KubernetesRig> {
  const rig = await KubernetesRig.open(options);
  open.push(rig);
  return rig;
}

/** A rig that has read service a. */
async function start(options: RigOptions = {}): Promise<KubernetesRig> {
  const rig = await KubernetesRig.start({
    ...options,
    prepare: async (server, clock) => {
      server.put("services", rawService("a", 80));
      await options.prepare?.(server, clock);
    },
  });
  open.push(rig);
  return rig;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((rig) => rig.close()));
});

/** Takes only this token from now on. */
function demandToken(server: FakeApiServer, token: string): void {
  server.faults.splice(0, server.faults.length, ({ authorization }, response) => {
    if (authorization === `Bearer ${token}`) return false;
    refuse(response, 401, "Unauthorized", "Unauthorized");
    return true;
  });
}

test("I-9 a token that was rotated is read again, at once and without a list", async () => {
  const file = join(import.meta.dirname, `token-${process.pid}`);
  await writeFile(file, "one\n");
  try {
    const rig = await start({ tokenFile: file, prepare: (server) => demandToken(server, "one") });
    await rig.pass(2000);
    await writeFile(file, "two\n");
    demandToken(rig.server, "two");
    rig.server.endWatches();
    rig.server.put("services", rawService("a", 81));
    await rig.converge();
    expect(rig.watch()).toMatchObject({ relists: 0, failures: 0 });
    expect(rig.watchesOpened()).toHaveLength(2);
    // Fault 23: missing, then empty, then there again.
    await rm(file);
    demandToken(rig.server, "three");
    await rig.pass(2000);
    rig.server.endWatches();
    await rig.pass(5000, 50);
    await writeFile(file, "");
    await rig.pass(5000, 50);
    const { failures, lastError } = rig.watch();
    expect(failures).toBeGreaterThan(0);
    expect(failures).toBeLessThan(15);
    expect(lastError).toBe("GET /api/v1/services: 401 Unauthorized");
    expect(rig.reader.content()).toEqual(["Service default/a 81"]);
    await writeFile(file, "three");
    rig.server.put("services", rawService("a", 82));
    await rig.converge();
    expect(rig.watch().relists).toBe(0);
  } finally {
    await rm(file, { force: true });
  }
});

test("I-10 a kind that is forbidden is named and holds up no other; it comes when it is allowed, and stays when it is not any more", async () => {
  const pod = (name: string) => ({ metadata: { name, namespace: "default" }, spec: {}, status: { podIP: "10.0.0.1" } });
  const forbid = (server: FakeApiServer) =>
    server.faults.push(({ path }, response) => {
      if (!path.endsWith("/pods")) return false;
      refuse(response, 403, "Forbidden", "pods is forbidden");
      return true;
    });
  const rig = await start({
    kinds: ["Service", "Pod"],
    prepare: (server) => {
      server.put("pods", pod("p"));
      forbid(server);
    },
  });
  expect(rig.reader.content()).toEqual(["Service default/a 80"]);
  expect(rig.reader.problems()).toMatchObject([
    { code: "kind-forbidden", object: { kind: "APIResource", name: "pods" }, text: expect.stringContaining("RBAC") },
  ]);
  expect(rig.watch("Pod").state).toBe("forbidden");
  rig.server.faults.length = 0;
  await rig.until(() => rig.reader.content().includes("Pod default/p"));
  await rig.until(() => rig.reader.problems().length === 0);
  await rig.pass(2000);
  forbid(rig.server);
  rig.server.endWatches("pods");
  rig.server.put("services", rawService("a", 81));
  await rig.until(() => rig.watch("Pod").state === "forbidden" && rig.reader.problems().length === 1);
  expect(rig.reader.content()).toEqual(["Pod default/p", "Service default/a 81"]);
  const before = rig.server.requests.length;
  await rig.pass(60_000, 100);
  expect(rig.server.requests.length - before).toBeLessThan(20);
});

test("I-11 a custom kind that is installed late, removed, and installed again in another version", async () => {
  const gateways = (version: string) => ({
    group: "networking.istio.io",
    version,
    plural: "gateways",
    kind: "Gateway",
  });
  const gateway = (name: string) => ({
    metadata: { name, namespace: "default" },
    spec: { selector: { a: "b" }, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
  });
  const rig = await start({ kinds: ["Service", "Gateway"] });
  expect(rig.watch("Gateway").state).toBe("missing");
  expect(rig.reader.problems()).toMatchObject([{ level: "info", code: "kind-missing" }]);
  rig.server.define(gateways("v1beta1"));
  rig.server.put("gateways", gateway("old"));
  await rig.until(() => rig.reader.content().includes("Gateway default/old"));
  expect(rig.watch("Gateway").apiVersion).toBe("networking.istio.io/v1beta1");
  // The server takes the objects away before the kind.
  rig.server.verbs = ["delete", "get", "list", "watch"];
  rig.server.remove("gateways", "old");
  await rig.pass(1000);
  rig.server.undefine("gateways");
  await rig.until(() => rig.watch("Gateway").state === "missing" && rig.reader.problems().length === 1);
  expect(rig.reader.problems()).toMatchObject([{ level: "error", code: "kind-missing" }]);
  expect(rig.reader.content()).toContain("Gateway default/old");
  rig.server.verbs = ["create", "delete", "get", "list", "watch"];
  rig.server.define(gateways("v1"));
  rig.server.put("gateways", gateway("new"));
  await rig.until(() => rig.reader.content().includes("Gateway default/new"));
  expect(rig.reader.content()).not.toContain("Gateway default/old");
  expect(rig.watch("Gateway")).toMatchObject({ apiVersion: "networking.istio.io/v1", state: "watching", relists: 1 });
  // A deletion that is meant counts at once.
  rig.server.remove("gateways", "new");
  await rig.until(() => !rig.reader.content().includes("Gateway default/new"));
});

test("I-11 a version that is preferred and served later is read from then on", async () => {
  const rig = await start({
    kinds: ["Service", "Gateway"],
    prepare: (server) =>
      server.define({ group: "networking.istio.io", version: "v1beta1", plural: "gateways", kind: "Gateway" }),
  });
  rig.server.define({ group: "networking.istio.io", version: "v1", plural: "gateways", kind: "Gateway" });
  await rig.until(() => rig.watch("Gateway").apiVersion === "networking.istio.io/v1", 100);
  await rig.until(() => rig.watch("Gateway").state === "watching");
});

test("I-12 events that are cut anywhere, also within a character, and several at once", async () => {
  const rig = await start();
  const service = (name: string, version: number) =>
    rawService(name, 80, { uid: name, resourceVersion: String(version), labels: { word: "Wärme-☀" } });
  rig.server.write("services", eventLine("ADDED", service("c", 201)) + eventLine("ADDED", service("d", 202)));
  const bytes = Buffer.from(eventLine("ADDED", service("e", 203)));
  // Within the three bytes of the sun.
  const sun = bytes.indexOf("☀");
  for (const part of [bytes.subarray(0, sun + 1), bytes.subarray(sun + 1, sun + 2), bytes.subarray(sun + 2)]) {
    rig.server.write("services", part);
    await rig.pass(100);
  }
  await rig.until(() => rig.reader.content().length === 4);
  const last = rig.reader.changeSets.at(-1)?.changes[0];
  expect(last?.type === "set" && last.object.meta.labels["word"]).toBe("Wärme-☀");
});

test("I-12 a watch that breaks off within an event, or tells something unreadable, goes on from where it stood", async () => {
  const rig = await start();
  for (const [round, garbage] of ['{"type":"MODIFIED","obj', '{"type":\n', "\u0000\u0001\n"].entries()) {
    await rig.until(() => rig.server.countWatches() === 1);
    await rig.pass(1000);
    rig.server.write("services", garbage);
    rig.server.endWatches();
    rig.server.put("services", rawService("a", 100 + round));
    await rig.converge();
  }
  expect(rig.watch()).toMatchObject({ relists: 0, failures: 3 });
});

test("I-12 a server that tells nothing but garbage is asked rarely", async () => {
  const rig = await start();
  rig.server.faults.push(({ query }, response) => {
    if (query["watch"] !== "true") return false;
    response.end("garbage\n");
    return true;
  });
  rig.server.endWatches();
  await rig.pass(60_000, 100);
  const asked = rig.server.requests.length;
  expect(asked).toBeLessThan(40);
  expect(rig.reader.content()).toEqual(["Service default/a 80"]);
  rig.server.faults.length = 0;
  rig.server.put("services", rawService("a", 81));
  await rig.converge();
});

test("I-15 events that come twice, too late, or for objects that nobody knows", async () => {
  const rig = await start();
  const uid = String(rig.server.list("services")[0]?.metadata["uid"]);
  const service = (name: string, port: number, resourceVersion: string, id = name) =>
    rawService(name, port, { uid: id, resourceVersion });
  const lines = [
    eventLine("MODIFIED", service("a", 82, "300", uid)),
    eventLine("MODIFIED", service("a", 82, "300", uid)),
    eventLine("ADDED", service("a", 81, "299", uid)),
    eventLine("DELETED", service("a", 80, "50", "an-earlier-one")),
    eventLine("MODIFIED", service("x", 80, "301")),
    eventLine("DELETED", service("y", 80, "302")),
    eventLine("SOMETHING", service("z", 80, "303")),
    eventLine("ADDED", { kind: "Pod", metadata: { name: "p", resourceVersion: "304" } }),
  ];
  for (const line of lines) {
    rig.server.write("services", line);
    await rig.pass(100);
  }
  expect(rig.reader.content()).toEqual(["Service default/a 82", "Service default/x 80"]);
  expect(rig.reader.changeSets).toHaveLength(3);
  expect(rig.server.listRequests("services").length).toBe(1);
});

test("I-17 an object that is made anew under its name is deleted and set, whether seen or missed", async () => {
  const rig = await start();
  rig.server.remove("services", "a");
  rig.server.put("services", rawService("a", 80));
  await rig.until(() => rig.reader.changeSets.length > 1);
  await rig.pass(200);
  const kinds = () =>
    rig.reader.changeSets
      .slice(1)
      .flatMap(({ changes }) => changes)
      .map(({ type }) => type);
  expect(kinds()).toEqual(["deleted", "set"]);
  rig.server.deafen();
  rig.server.remove("services", "a");
  rig.server.put("services", rawService("a", 80));
  rig.server.compact();
  rig.server.reset();
  await rig.until(() => rig.watch().relists === 1);
  await rig.pass(200);
  expect(kinds()).toEqual(["deleted", "set", "deleted", "set"]);
});

test("I-18 a mesh that throws on one object gets all the others, and that one when it is better", async () => {
  const rig = await openRig();
  const bad = { isBad: true, thrown: 0 };
  const apply = (changeSet: ChangeSet): void => {
    if (
      bad.isBad &&
      changeSet.changes.some((change) => change.type === "set" && change.object.meta.name === "poison")
    ) {
      bad.thrown++;
      throw new Error("cannot take it");
    }
    rig.reader.apply(changeSet);
  };
  rig.server.put("services", rawService("a", 80));
  rig.begin({ apply });
  await rig.until(() => rig.source.isSynced());
  rig.server.put("services", rawService("poison", 80));
  rig.server.put("services", rawService("b", 80));
  await rig.until(() => rig.reader.content().includes("Service default/b 80"));
  await rig.until(() => rig.reader.problems().length === 1);
  expect(rig.reader.problems()).toMatchObject([{ code: "not-applied", object: { name: "poison" } }]);
  await rig.pass(60_000, 100);
  expect(bad.thrown).toBeLessThan(20);
  rig.server.put("services", rawService("c", 80));
  await rig.until(() => rig.reader.content().includes("Service default/c 80"));
  bad.isBad = false;
  await rig.converge();
  await rig.until(() => rig.reader.problems().length === 0);
  expect(rig.watch()).toMatchObject({ relists: 0, failures: 0 });
});

test("a status, a resource version and the notes of controllers are no change", async () => {
  const rig = await start();
  rig.server.put("services", { ...rawService("a", 80, { managedFields: [{ manager: "x" }] }), status: { x: 1 } });
  rig.server.put("services", rawService("a", 80, { annotations: { "example.com/last-seen": "now" } }));
  await rig.pass(500);
  expect(rig.reader.changeSets).toHaveLength(1);
  rig.server.put("services", rawService("a", 80, { annotations: { "networking.istio.io/exportTo": "." } }));
  await rig.until(() => rig.reader.changeSets.length === 2);
});
