/**
 * Faults I-1 to I-6 of watches against a real API server: nothing is lost, everything converges, a kind is listed anew at
 * most once and only where the server has forgotten, nothing runs hot, and the other kinds notice nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { baseObjects, serviceOf, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import { eventLine, expired, FaultPeriod, pathOfKind, patient, reopen } from "./fault-period.ts";
import type { Fault } from "./fault-proxy.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";

const virtualServices = pathOfKind("VirtualService");
const services = pathOfKind("Service");
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  // Pages come from etcd, as in servers before 1.34: later ones may keep what they need of them in memory for a while.
  cluster = await startFaultCluster({ apiServerArgs: ["--feature-gates=ListFromCacheSnapshot=false"] });
});
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
  // A test that failed in the midst of its fault leaves the next one, or its own next try, a server that is there.
  cluster.apiServer.resume();
  await cluster.apiServer.start();
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], baseObjects());
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/** A VirtualService changes, one comes, and one goes that was there before the fault. */
async function changeRouting(rig: FaultRig, attempts: number): Promise<void> {
  await rig.remove("VirtualService", "gone");
  await rig.apply(`${virtualServiceOf(attempts)}\n---\n${virtualServiceOf(1, "come", "catalog")}`);
}

async function startWithRoutes(options: RigOptions = {}): Promise<FaultRig> {
  const started = await startRig(options);
  await started.apply(virtualServiceOf(1, "gone", "users"));
  await started.expectConverged();
  return started;
}

test("I-1: the server refuses to open one watch, because it has forgotten (410)", { timeout: 120_000 }, async () => {
  const rig = await startWithRoutes();
  const period = new FaultPeriod(rig);
  let phase: "away" | "forgotten" | "back" = "away";
  rig.proxy.rule = ({ path, isWatch, query }): Fault | undefined => {
    if (path !== virtualServices || !isWatch || phase === "back") return undefined;
    if (phase === "away") return { do: "reset" };
    expect(query.get("resourceVersion")).toMatch(/^\d+$/);
    phase = "back";
    return { do: "answer", status: 410, body: expired };
  };
  rig.proxy.endAnswers(virtualServices);
  await changeRouting(rig, 2);
  phase = "forgotten";
  await vi.waitFor(() => expect(phase).toBe("back"), patient);
  await rig.expectInvariants(/too old resource version/);
  expect(period.lists("virtualservices")).toBe(1);
  period.expectRequests(12);
  period.expectUntouched("virtualservices");
  await rig.remove("VirtualService", "come");
  await rig.expectConverged();
});

test("I-1: a server that was restarted has forgotten everything before (410)", { timeout: 180_000 }, async () => {
  const rig = await startWithRoutes();
  const period = new FaultPeriod(rig);
  rig.proxy.rule = ({ isWatch }): Fault | undefined => (isWatch ? { do: "reset" } : undefined);
  rig.proxy.resetAll();
  await changeRouting(rig, 3);
  // Its memory of recent events ends with it, and etcd's with the compaction.
  await cluster.apiServer.stop();
  await cluster.etcd.compact();
  await cluster.apiServer.start();
  rig.proxy.rule = undefined;
  await rig.expectInvariants(/too old resource version/);
  expect(period.lists("virtualservices")).toBe(1);
  period.expectLists(1);
  period.expectRequests(100);
  await rig.remove("VirtualService", "come");
  await rig.expectConverged();
});

test("I-2: a watch ends with the event that the server has forgotten (410)", { timeout: 120_000 }, async () => {
  const rig = await startWithRoutes();
  const period = new FaultPeriod(rig);
  // From here on nothing of the server comes through this watch: what changes is not seen but by the list.
  rig.proxy.rule = ({ path, isWatch, query }): Fault | undefined =>
    path === virtualServices && isWatch && !query.has("sendInitialEvents")
      ? { do: "change", chunk: () => [] }
      : undefined;
  await reopen(rig, virtualServices);
  await changeRouting(rig, 4);
  rig.proxy.rule = undefined;
  expect(rig.proxy.inject(virtualServices, eventLine("ERROR", expired))).toBe(1);
  await rig.expectInvariants(/too old resource version/);
  expect(period.lists("virtualservices")).toBe(1);
  period.expectRequests(4);
  period.expectUntouched("virtualservices");
  await rig.remove("VirtualService", "come");
  await rig.expectConverged();
});

test("I-3: etcd is compacted between two pages of a list", { timeout: 120_000 }, async () => {
  const rig = await startRig({ isStarted: false, limits: { pageSize: 2 } });
  const noStreams = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Invalid", code: 422 };
  let compaction: Promise<unknown> | undefined;
  let isArmed = false;
  rig.proxy.rule = ({ path, query }): Fault | undefined => {
    if (query.has("sendInitialEvents")) return { do: "answer", status: 422, body: noStreams };
    if (!isArmed || path !== services || !query.has("continue") || compaction !== undefined) return undefined;
    compaction = compactAfterChange(rig);
    return { do: "wait", until: compaction };
  };
  await rig.startControlPlane();
  await rig.connectProxies();
  await rig.apply(serviceOf("gone"));
  await rig.expectConverged();
  const period = new FaultPeriod(rig);
  isArmed = true;
  expect(rig.proxy.inject(services, eventLine("ERROR", expired))).toBe(1);
  await vi.waitFor(() => expect(compaction).toBeDefined(), patient);
  await compaction;
  await rig.expectInvariants(/410/);
  const lists = period.requests("services").filter(({ isWatch }) => !isWatch);
  const forms = lists.map(({ query }) => ["continue", "limit"].filter((name) => query.has(name)).join("+"));
  // The second page is not to be had, and nothing of the first is believed: the list is read in one piece.
  expect(forms).toEqual(["limit", "continue+limit", ""]);
  expect(period.lines.filter(({ text }) => text === "objects were listed anew").length).toBe(1);
  period.expectUntouched("services");
  await rig.remove("Service", "added");
  await rig.expectConverged();
});

/** What is on no page yet comes, what may be on a page that was read goes; then the pages' revision is forgotten. */
async function compactAfterChange(rig: FaultRig): Promise<void> {
  await rig.apply(serviceOf("added"));
  await rig.remove("Service", "gone");
  await cluster.etcd.compact();
}

test("I-4: the server ends watches in good order, a hundred times", { timeout: 120_000 }, async () => {
  // Servers end a watch after minutes; with this limit one that lived for milliseconds counts as one of those.
  const rig = await startRig({ limits: { shortWatchMs: 0 } });
  const period = new FaultPeriod(rig);
  for (let round = 0; round < 100; round++) {
    if (round % 10 === 5) await rig.apply(`${virtualServiceOf(2 + round / 5)}\n---\n${serviceOf("extra", 80 + round)}`);
    await Promise.all([reopen(rig, virtualServices), reopen(rig, services)]);
  }
  await rig.expectInvariants(/objects are listed/);
  period.expectLists(0);
  expect(period.watches("virtualservices").length).toBe(100);
  expect(period.watches("services").length).toBe(100);
  period.expectUntouched("virtualservices", "services");
  // The end of a watch is nothing to complain about.
  expect(period.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
});

test("I-4: a server that ends each watch at once is not asked without rest", { timeout: 120_000 }, async () => {
  const limits = { backoff: { firstMs: 200, initialMs: 800, maxMs: 2000, unreachedMaxMs: 2000, quietMs: 120_000 } };
  const rig = await startRig({ limits });
  const period = new FaultPeriod(rig);
  const end = Date.now() + 5000;
  while (Date.now() < end) {
    rig.proxy.endAnswers(virtualServices);
    await sleep(10);
  }
  await rig.apply(virtualServiceOf(5));
  await rig.expectInvariants(/the server ended the watch at once/);
  // Some 500 without any rest.
  expect(period.watches("virtualservices").length).toBeLessThan(60);
  period.expectLists(0);
  period.expectUntouched("virtualservices");
});

test("I-5: connections end with RST", { timeout: 120_000 }, async () => {
  const rig = await startWithRoutes();
  const period = new FaultPeriod(rig);
  for (let round = 1; round <= 5; round++) {
    rig.proxy.resetAll();
    await rig.apply(`${virtualServiceOf(10 + round)}\n---\n${sliceOf("users", ["10.1.0.4", `10.1.5.${round}`])}`);
    if (round === 3) await rig.remove("VirtualService", "gone");
    await rig.expectConverged();
  }
  await rig.expectInvariants(/API server is not reached/);
  // All go on from where they stood.
  period.expectLists(0);
  period.expectRequests(40);
  expect(period.lines.some(({ text }) => text === "the API server is reached again")).toBe(true);
});

test("I-6: what was open turns into a black hole; who asks anew is answered", { timeout: 180_000 }, async () => {
  // Silence alone would not show it within this test: only asking the server does.
  const limits = { probeMs: 2000, probeWatchMs: 1000, graceMs: 500, silenceMs: 120_000, requestTimeoutMs: 20_000 };
  const rig = await startWithRoutes({ limits });
  const period = new FaultPeriod(rig);
  rig.proxy.freeze();
  rig.proxy.thaw();
  await rig.apply(`${virtualServiceOf(6)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.6.1"])}`);
  await rig.expectInvariants(/the watch does not tell what happens/);
  period.expectLists(0);
});

test("I-6: nothing passes any more, in new connections neither", { timeout: 180_000 }, async () => {
  const limits = { probeMs: 2000, probeWatchMs: 1000, graceMs: 500, silenceMs: 6000, requestTimeoutMs: 4000 };
  const rig = await startWithRoutes({ limits });
  const period = new FaultPeriod(rig);
  // The kernel at the other end answers the keep-alives of its connections.
  rig.proxy.freeze();
  await rig.remove("VirtualService", "gone");
  await rig.apply(`${virtualServiceOf(7)}\n---\n${serviceOf("extra", 99)}`);
  await vi.waitFor(() => expect(rig.findLogged(/the watch was silent for 6000 ms/)).toBeDefined(), patient);
  await vi.waitFor(() => expect(rig.findLogged(/no answer within 4000 ms/)).toBeDefined(), patient);
  await sleep(3000);
  period.expectRequests(20);
  rig.proxy.thaw();
  await rig.expectConverged(30_000);
  await rig.expectInvariants(/the watch was silent for 6000 ms/);
  period.expectLists(0);
  await rig.remove("Service", "extra");
});
