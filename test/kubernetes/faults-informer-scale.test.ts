/** Faults I-13 and I-20: very many objects, and two API servers of which one lags behind. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { serviceOf, virtualServiceOf } from "./fault-mesh.ts";
import { eventLine, expired, FaultPeriod, pathOfKind, patient } from "./fault-period.ts";
import type { Fault } from "./fault-proxy.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";
import { SlowWire } from "./slow-wire.ts";

const virtualServices = pathOfKind("VirtualService");
const pods = pathOfKind("Pod");
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
});
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/** Retries that each sidecar was told for cart, in the order in which it was told. */
function toldAttempts(rig: FaultRig): readonly (readonly number[])[] {
  const sidecars = rig.proxies.filter(({ node }) => node.id.startsWith("sidecar"));
  return sidecars.map(({ received }) =>
    received
      .flatMap(({ resources }) => resources)
      .flatMap(({ message }) => findAttempts(message))
      .filter((attempts) => attempts >= 100),
  );
}

function findAttempts(value: unknown): readonly number[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  return Object.entries(value).flatMap(([key, part]) => {
    const isWrapped = typeof part === "object" && part !== null && "value" in part;
    const count: unknown = isWrapped ? part.value : part;
    return key === "num_retries" && typeof count === "number" ? [count] : findAttempts(part);
  });
}

test("I-20: two API servers of which one lags behind", { timeout: 180_000 }, async () => {
  const wire = new SlowWire(cluster.etcd.url());
  const second = await cluster.startSecondApiServer({ etcdUrl: await wire.start() });
  const urls = [cluster.url, second.url];
  const rig = await startRig();
  // The second one has read every kind before it falls behind.
  rig.proxy.retarget(second.url);
  rig.proxy.resetAll();
  await rig.apply(virtualServiceOf(99));
  await rig.expectConverged();
  await settle(rig);
  // What the second one knows is a second and a half old from here on; lists of its own it gives as late.
  wire.delayMs = 1500;
  let asked = 0;
  rig.proxy.rule = () => {
    rig.proxy.retarget(urls[asked++ % 2] ?? "");
    return undefined;
  };
  const period = new FaultPeriod(rig);
  for (let round = 0; round < 8; round++) {
    await rig.apply(`${virtualServiceOf(100 + round)}\n---\n${serviceOf("extra", 80 + round)}`);
    // All connections anew, to either server as it comes.
    rig.proxy.resetAll();
    if (round % 2 === 0) await sleep(700);
  }
  await rig.remove("Service", "extra");
  await rig.expectConverged(30_000);
  await rig.expectInvariants(/API server is not reached/);
  for (const told of toldAttempts(rig)) {
    expect(told.at(-1)).toBe(107);
    expect(told, "never back to what was before").toEqual([...told].sort((a, b) => a - b));
  }
  period.expectLists(1);
  period.expectRequests(80);

  // A list that is older than what is known, from a server that does not know better: it is not believed.
  wire.delayMs = 0;
  const old = JSON.parse(await cluster.kubectl(["get", "--raw", virtualServices])) as object;
  await rig.apply(virtualServiceOf(200));
  await rig.expectConverged();
  await settle(rig);
  const stale = new FaultPeriod(rig);
  let given = 0;
  rig.proxy.rule = ({ path, isWatch, query }): Fault | undefined => {
    if (path !== virtualServices) return undefined;
    if (query.has("sendInitialEvents")) return { do: "answer", status: 429, body: { kind: "Status", code: 429 } };
    return !isWatch && given++ === 0 ? { do: "answer", status: 200, body: old } : undefined;
  };
  expect(rig.proxy.inject(virtualServices, eventLine("ERROR", expired))).toBe(1);
  await vi.waitFor(() => expect(given).toBeGreaterThan(1), patient);
  await rig.expectInvariants(/objects were listed anew/);
  for (const told of toldAttempts(rig)) expect(told, "never back").toEqual([...told].sort((a, b) => a - b));
  // Refused as a stream, refused for its age, and taken.
  expect(stale.lists("virtualservices")).toBe(3);
  stale.expectUntouched("virtualservices");
  await second.stop();
  await wire.stop();
});

/** Waits until all watches stand and nobody asks for anything more. */
async function settle({ proxy }: FaultRig): Promise<void> {
  const isQuiet = (): boolean => performance.now() - (proxy.requests.at(-1)?.atMs ?? 0) > 3000;
  await vi.waitFor(() => expect(isQuiet()).toBe(true), patient);
}

/** A tenth of the 50,000 objects, but with all of the 20 MB. */
const objects = 5000;
const filling = "x".repeat(4096);

test("I-13: a kind has 5,000 objects and 20 MB", { timeout: 180_000 }, async () => {
  const options = { kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog, qps: 10_000, burst: 10_000 };
  const client = await createKubeClient(options);
  await createPods(client);
  const list = await client.request({ path: pods, query: {}, timeoutMs: 60_000 });
  expect(JSON.stringify(list).length).toBeGreaterThan(20_000_000);
  const known = (rig: FaultRig): number => rig.controlPlane.snapshot().workloads.all.length;

  // Streamed, as servers of today give it.
  const streaming = await startRig({ oracleSkips: ["Pod"] });
  expect(known(streaming)).toBe(objects);
  expect(streaming.proxy.requests.filter(({ path }) => path === pods).length).toBe(1);
  // All of it once more, while others are served.
  const period = new FaultPeriod(streaming);
  await client.request({ method: "DELETE", path: `${podsOfShop}/many-7` });
  expect(streaming.proxy.inject(pods, eventLine("ERROR", expired))).toBe(1);
  await streaming.apply(virtualServiceOf(2));
  await vi.waitFor(
    () => expect(period.lines.some(({ text }) => text === "objects were listed anew")).toBe(true),
    patient,
  );
  await vi.waitFor(() => expect(known(streaming)).toBe(objects - 1), patient);
  await streaming.expectInvariants(/objects were listed anew/);
  expect(period.lists("pods")).toBe(1);
  period.expectUntouched("pods");
  await streaming.stop();

  // In pages, packed with gzip; and in one piece of 20 MB.
  for (const pageSize of [500, 100_000]) {
    const paging = await startRig({ isStarted: false, limits: { pageSize }, oracleSkips: ["Pod"] });
    paging.proxy.rule = ({ query }): Fault | undefined =>
      query.has("sendInitialEvents") ? { do: "answer", status: 422, body: { kind: "Status", code: 422 } } : undefined;
    await paging.startControlPlane();
    expect(known(paging)).toBe(objects - 1);
    const pages = paging.proxy.requests.filter(({ path, isWatch }) => path === pods && !isWatch);
    expect(pages.length).toBe(pageSize === 500 ? 10 : 1);
    expect(new Set(pages.map(({ encoding }) => encoding))).toEqual(new Set(["gzip"]));
    await paging.stop();
  }
  client.close();
});

const podsOfShop = "/api/v1/namespaces/shop/pods";

async function createPods(client: KubeClient): Promise<void> {
  let next = 0;
  const create = async (): Promise<void> => {
    for (let serial = next++; serial < objects; serial = next++) {
      const metadata = { name: `many-${serial}`, annotations: { "example.com/filling": filling } };
      const spec = { containers: [{ name: "one", image: "none" }] };
      await client.request({ method: "POST", path: podsOfShop, body: { metadata, spec }, timeoutMs: 60_000 });
    }
  };
  await Promise.all(Array.from({ length: 32 }, create));
}
