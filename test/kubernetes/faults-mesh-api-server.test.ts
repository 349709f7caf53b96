/** Faults 1 to 5 of the fault list: the API server and what it remembers. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { XdsClient } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";
import { baseObjects, gateway, serviceOf, sidecar, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import type { Fault, ProxiedRequest } from "./fault-proxy.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";

const patient = { timeout: 60_000, interval: 20 };
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  // From its cache this server would go on serving pages whose revision etcd has forgotten.
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

/** What an API server says that has forgotten the resource version that it was asked for. */
const expired = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "Expired", code: 410 };

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/**
 * Bytes in use of a control plane that has everything, for faults that are there before it starts. Of a new one: what
 * earlier tests have brought into this process is there in both.
 */
async function findHealthyHeap(): Promise<number> {
  const healthy = await FaultRig.start(cluster);
  await healthy.stop();
  return healthy.heapBefore;
}

test("fault 1: the API server is killed and away for 30 s, and etcd is compacted under load", {
  timeout: 240_000,
}, async () => {
  const rig = await startRig();
  const asked = rig.proxy.requests.length;
  for (let round = 1; round <= 20; round += 1) {
    await rig.apply(sliceOf("cart", [`10.1.0.${round}`, "10.1.0.30"]));
    if (round % 5 === 0) await cluster.etcd.compact();
  }
  await rig.expectConverged();
  await cluster.apiServer.kill();
  // What the watches stood at is forgotten when the server comes back.
  await cluster.etcd.compact();
  const backAt = Date.now() + 30_000;
  await vi.waitFor(() => expect(rig.findLogged(/API server is not reached/)).toBeDefined(), patient);
  const before = rig.proxies.map((proxy) => ({ proxy, responses: proxy.received.length, state: proxy.state() }));
  const newcomers = [rig.connect("sotw", sidecar), rig.connect("delta", gateway)];
  await vi.waitFor(() => {
    expect(newcomers.map((proxy) => proxy.state())).toEqual([before[0]?.state, before[3]?.state]);
  }, patient);
  await sleep(backAt - Date.now());
  for (const { proxy, responses, state } of before) {
    expect(proxy.state()).toBe(state);
    expect(proxy.received.length, "nothing new to tell").toBe(responses);
  }
  expect((await fetch(`http://127.0.0.1:${rig.controlPlane.httpPort}/ready`)).status).toBe(200);

  await cluster.apiServer.start();
  const readyAt = Date.now();
  await rig.apply(`${virtualServiceOf(2)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.21"])}`);
  await vi.waitFor(() => {
    for (const { proxy, state } of before) expect(proxy.state()).not.toBe(state);
  }, patient);
  expect(Date.now() - readyAt).toBeLessThan(5000);
  await rig.expectInvariants(/API server is not reached/);
  for (const path of listWatchedPaths(rig)) {
    const plural = path.slice(path.lastIndexOf("/") + 1);
    expect(rig.countLists(plural, asked), `lists of ${plural}`).toBeLessThanOrEqual(1);
  }
  expect(rig.findLogged(/API server is reached again/)).toBeDefined();
});

test("fault 2: the API server is away when the control plane starts", { timeout: 120_000 }, async () => {
  const heapBefore = await findHealthyHeap();
  const [http, grpc] = [await findFreePort(), await findFreePort()];
  const addresses = { httpAddr: `127.0.0.1:${http}`, grpcAddr: `127.0.0.1:${grpc}` };
  await cluster.apiServer.stop();
  const starting = await startRig({ isStarted: false, options: addresses, heapBefore });
  const started = starting.startControlPlane();
  const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${http}/ready`)).status;
  await vi.waitFor(async () => expect(await ready()).toBe(503), patient);
  // It keeps trying: it is not the first failure that it stops at.
  await vi.waitFor(() => expect(starting.proxy.requests.length).toBeGreaterThan(3), patient);
  const client = new XdsClient(`127.0.0.1:${grpc}`);
  const stream = client.open("sotw");
  stream.send({ node: sidecar.node(200), type_url: typeUrls.cds });
  expect(await stream.ended).toMatchObject({ code: 14 });
  expect(stream.received).toEqual([]);
  client.close();
  expect(await ready()).toBe(503);

  await cluster.apiServer.start();
  await started;
  expect(await ready()).toBe(200);
  await starting.connectProxies();
  for (const proxy of starting.proxies) expect(proxy.received[0]?.names).not.toEqual([]);
  await starting.expectInvariants(/API server is not ready, it is asked again/);
});

test("fault 3: the API server has forgotten where the watches stand (410)", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  await rig.apply(virtualServiceOf(1, "gone", "users"));
  await rig.expectConverged();
  const asked = rig.proxy.requests.length;
  const refused = new Set<string>();
  // Each watch is refused once, in one of the two ways that servers have.
  rig.proxy.rule = ({ isWatch, path, query }): Fault | undefined => {
    if (!isWatch || query.has("sendInitialEvents") || refused.has(path)) return undefined;
    refused.add(path);
    if (refused.size % 2 === 0) return { do: "answer", status: 410, body: expired };
    return { do: "change", chunk: () => [Buffer.from(`${JSON.stringify({ type: "ERROR", object: expired })}\n`)] };
  };
  const watches = listWatchedPaths(rig);
  rig.proxy.endAnswers();
  await rig.remove("VirtualService", "gone");
  await rig.apply(`${virtualServiceOf(3)}\n---\n${sliceOf("users", ["10.1.0.4", "10.1.0.34"])}`);
  await vi.waitFor(() => expect([...refused].sort()).toEqual([...watches].sort()), patient);
  await rig.expectInvariants(/listed anew/);
  for (const path of watches) {
    const plural = path.slice(path.lastIndexOf("/") + 1);
    expect(rig.countLists(plural, asked), `lists of ${plural}`).toBeLessThanOrEqual(1);
  }
});

test("fault 4: etcd is compacted while pages of lists are read", { timeout: 120_000 }, async () => {
  const heapBefore = await findHealthyHeap();
  const rig = await startRig({ isStarted: false, limits: { pageSize: 2 }, heapBefore });
  const paths = ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"];
  const compacted = new Set<string>();
  let before: Promise<void> = Promise.resolve();
  rig.proxy.rule = ({ isWatch, path, query }): Fault | undefined => {
    if (isWatch && query.has("sendInitialEvents")) return { do: "answer", status: 400, body: noStreams };
    if (!query.has("continue") || compacted.has(path) || !paths.includes(path)) return undefined;
    compacted.add(path);
    const serial = compacted.size;
    before = before.then(() => compactAfterChange(rig, serial));
    return { do: "wait", until: before };
  };
  const asked = rig.proxy.requests.length;
  await rig.startControlPlane();
  await rig.connectProxies();
  expect([...compacted].sort()).toEqual([...paths].sort());
  await rig.expectInvariants(/continue parameter is too old/);
  // As a stream, which is refused here; in pages; and in one piece.
  expect(rig.countLists("services", asked)).toBe(3);
  await rig.remove("Service", "added");
  await rig.expectConverged();
});

const noStreams = { kind: "Status", apiVersion: "v1", status: "Failure", reason: "BadRequest", code: 400 };

/** Something new, something that was on a page already and is changed; then the revision of the pages is forgotten. */
async function compactAfterChange(rig: FaultRig, serial: number): Promise<void> {
  const slices = [sliceOf("added", ["10.1.0.9"]), sliceOf("cart", ["10.1.0.1", `10.1.0.${40 + serial}`])];
  await rig.apply([serviceOf("added"), ...slices].join("\n---\n"));
  await cluster.etcd.compact();
}

function listWatchedPaths(rig: FaultRig): readonly string[] {
  return [...new Set(rig.proxy.requests.filter(({ isWatch }) => isWatch).map(({ path }) => path))];
}

test("fault 5: watches stall in silence", { timeout: 240_000 }, async () => {
  // What a slow machine answers late must not count as silence.
  const limits = { probeMs: 600, probeWatchMs: 3000, graceMs: 1500, silenceMs: 5000, requestTimeoutMs: 15_000 };
  const rig = await startRig({ limits });
  // One watch goes on as a connection, and nothing comes through it; servers' bookmarks do not either.
  let isStalled = true;
  rig.proxy.rule = ({ isWatch, path }: ProxiedRequest): Fault | undefined =>
    isStalled && isWatch && path.endsWith("/virtualservices") ? { do: "change", chunk: () => [] } : undefined;
  const asked = rig.proxy.requests.length;
  rig.proxy.endAnswers();
  const isRenewed = ({ isWatch, path }: ProxiedRequest): boolean => isWatch && path.endsWith("/virtualservices");
  await vi.waitFor(() => expect(rig.proxy.requests.slice(asked).some(isRenewed)).toBe(true), patient);
  isStalled = false;
  await rig.apply(virtualServiceOf(4));
  await rig.expectConverged(60_000);
  await vi.waitFor(() => expect(rig.findLogged(/the watch does not tell what happens/)).toBeDefined(), patient);

  // Everything at once: what is under way and what is asked anew.
  rig.proxy.freeze();
  await rig.apply(`${virtualServiceOf(5)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.51"])}`);
  await vi.waitFor(() => expect(rig.findLogged(/the watch was silent for/)).toBeDefined(), patient);
  rig.proxy.thaw();
  await rig.expectConverged(60_000);
  await rig.expectInvariants(/the watch was silent for/);
});
