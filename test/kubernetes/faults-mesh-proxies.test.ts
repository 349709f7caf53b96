/** Faults 8, 10 and 12 to 16 of the fault list: what proxies and the network to them do. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { DigestCache } from "../bench/mesh/proxies/digest-cache.ts";
import { SimulatedProxy } from "../bench/mesh/proxies/simulated-proxy.ts";
import { openUnread } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";
import { baseObjects, gateway, sidecar, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";
import { openTcpLink, type TcpLink } from "./tcp-link.ts";
import type { WatchingProxy } from "./watching-proxy.ts";

const patient = { timeout: 60_000, interval: 20 };
let cluster: Cluster;
let rig: FaultRig | undefined;
let link: TcpLink | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
});
afterEach(async () => {
  await rig?.stop();
  await link?.stop();
  link = undefined;
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], baseObjects());
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/** Applies a change and waits until the proxy was told. */
async function change(rig: FaultRig, serial: number, proxy: WatchingProxy): Promise<void> {
  const before = proxy.state();
  await rig.apply(virtualServiceOf(serial));
  await vi.waitFor(() => expect(proxy.state()).not.toBe(before), patient);
}

function firstOf(rig: FaultRig): WatchingProxy {
  const [first] = rig.proxies;
  if (first === undefined) throw new Error("no proxy is connected");
  return first;
}

const countConnections = async (rig: FaultRig): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${rig.controlPlane.monitoringPort}/metrics`);
  const line = /^pilot_xds(?:\{[^}]*\})? (\d+)$/m;
  return [...(await answer.text()).matchAll(new RegExp(line, "gm"))].reduce((sum, [, count]) => sum + Number(count), 0);
};

test("fault 8: the network between proxies and control plane is parted", { timeout: 120_000 }, async () => {
  const rig = await startRig({ options: { keepaliveInterval: "1s", keepaliveTimeout: "1s" } });
  link = await openTcpLink(rig.controlPlane.grpcAddress);
  const parted = [
    rig.connect("sotw", sidecar, link.address),
    rig.connect("delta", sidecar, link.address),
    rig.connect("sotw", gateway, link.address),
  ];
  await rig.expectConverged(20_000);
  const before = parted.map((proxy) => proxy.state());
  link.freeze();
  await rig.apply(`${virtualServiceOf(2)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.81"])}`);
  // The control plane finds out by itself, and lets go.
  await vi.waitFor(async () => expect(await countConnections(rig)).toBe(4), patient);
  expect(parted.map((proxy) => proxy.state())).toEqual(before);

  link.heal();
  await vi.waitFor(() => expect(parted.every(({ isEnded }) => isEnded)).toBe(true), patient);
  const received = parted.map((proxy) => proxy.received.length);
  for (const proxy of parted) proxy.reconnect();
  await rig.expectInvariants(/proxy disconnected/);
  for (const [index, proxy] of parted.entries()) {
    const responses = proxy.received.slice(received[index]);
    expect(new Set(responses.map(({ typeUrl }) => typeUrl)).size, "each type at most once").toBe(responses.length);
    expect(responses.length).toBeGreaterThan(0);
  }
});

test("fault 10: proxies refuse everything", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const [refusing, ...others] = rig.proxies;
  if (refusing === undefined) throw new Error("no proxy is connected");
  refusing.refuse = () => "this proxy takes nothing";
  const received = refusing.received.length;
  for (let serial = 2; serial < 14; serial++) {
    // The sidecar that takes everything has each change, though the other one refused all before.
    await change(rig, serial, others[0] ?? refusing);
  }
  const responses = refusing.received.length - received;
  expect(responses).toBeGreaterThan(0);
  expect(responses, "what was refused is not sent again").toBeLessThanOrEqual(12);
  expect(rig.findLogged(/a proxy refused a response.*takes nothing/)).toBeDefined();

  for (const proxy of rig.proxies) proxy.refuse = () => "no proxy takes anything";
  const before = rig.proxies.map((proxy) => proxy.received.length);
  await rig.apply(`${virtualServiceOf(20)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.101"])}`);
  await vi.waitFor(() => {
    for (const [index, proxy] of rig.proxies.slice(1).entries()) {
      expect(proxy.received.length).toBeGreaterThan(before[index + 1] ?? 0);
    }
  }, patient);
  for (const proxy of rig.proxies) {
    proxy.refuse = undefined;
    expect(proxy.isEnded).toBe(false);
  }
  await rig.apply(`${virtualServiceOf(21)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.102"])}`);
  await rig.expectConverged(60_000);
  await rig.expectInvariants(/a proxy refused a response/);
});

test("fault 12: a proxy takes its time", { timeout: 120_000 }, async () => {
  // It has all the time in the world here, so that what it is sent depends on its answers alone.
  const rig = await startRig({ xdsLimits: { answerMs: 600_000 } });
  link = await openTcpLink(rig.controlPlane.grpcAddress);
  const slow = rig.connect("sotw", sidecar, link.address);
  await rig.expectConverged(20_000);
  const [first, received] = [firstOf(rig), slow.received.length];
  link.freeze();
  for (let serial = 2; serial < 14; serial++) await change(rig, serial, first);
  expect(slow.received.length).toBe(received);
  link.thaw();
  await vi.waitFor(() => expect(slow.state()).toBe(first.state()), patient);
  const missed = slow.received.slice(received);
  expect(missed.length, "the changes between were merged").toBeLessThanOrEqual(2);
  await rig.expectInvariants(/proxy connected/);
});

test("fault 13: a reader that never reads", { timeout: 120_000 }, async () => {
  const rig = await startRig({ options: { sendTimeout: "2s" } });
  // More than a window of 64 KiB.
  await rig.apply(manySubsets(400));
  await vi.waitFor(() => expect(firstOf(rig).holds("cds", subsetOf(399))).toBe(true), patient);
  await rig.expectConverged(20_000);
  rig.noteHeap();
  const stuck = (["sotw", "delta"] as const).map((variant, index) =>
    openUnread(rig.controlPlane.grpcAddress, variant, [{ node: sidecar.node(210 + index), type_url: typeUrls.cds }]),
  );
  let isCut = false;
  const cut = Promise.all(stuck.map(({ closed }) => closed)).then(() => {
    isCut = true;
  });
  let serial = 2;
  while (!isCut) await change(rig, serial++, firstOf(rig));
  await cut;
  for (const reader of stuck) reader.close();
  await rig.expectInvariants(/a proxy does not read what is sent to it/);
  await rig.remove("DestinationRule", "many");
  await vi.waitFor(() => expect(firstOf(rig).holds("cds", subsetOf(399))).toBe(false), patient);
});

const subsetOf = (index: number): string => `outbound|80|subset-${index}|users.shop.svc.cluster.local`;

function manySubsets(count: number): string {
  const subsets = Array.from({ length: count }, (_, index) => `  - {name: subset-${index}, labels: {v: v${index}}}`);
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: many, namespace: shop}
spec:
  host: users.shop.svc.cluster.local
  subsets:
${subsets.join("\n")}`;
}

test("fault 14: a thousand proxies come back at once", { timeout: 180_000 }, async () => {
  const rig = await startRig();
  const before = rig.proxies.map((proxy) => proxy.received.length);
  for (const round of ["arrive", "come back"]) {
    const cache = new DigestCache("sotw");
    const clients = Array.from({ length: 1000 }, (_, serial) => openLight(rig, serial, cache));
    await vi.waitFor(() => expect(clients.filter(({ isConfigured }) => isConfigured).length, round).toBe(1000), {
      timeout: 90_000,
      interval: 200,
    });
    for (const client of clients) client.close();
  }
  expect(rig.proxies.map((proxy) => proxy.received.length)).toEqual(before);
  await vi.waitFor(async () => expect(await countConnections(rig)).toBe(4), patient);
  await change(rig, 2, firstOf(rig));
  // Names of nodes that were here are remembered, so that no nonce comes twice to one of them.
  await rig.expectInvariants(/proxy connected/);
});

function openLight(rig: FaultRig, serial: number, cache: DigestCache): SimulatedProxy {
  const { metadata } = sidecar.node(1);
  const id = `sidecar~10.2.${serial >> 8}.${serial & 255}~storm-${serial}.shop~shop.svc.cluster.local`;
  return new SimulatedProxy({
    ...{ address: rig.controlPlane.grpcAddress, variant: "sotw", node: { id, metadata }, cache, scope: "shop" },
  });
}

test("fault 15: a proxy comes and goes ten times a second", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const before = rig.proxies.map((proxy) => proxy.received.length);
  const flapping = rig.connect("delta", sidecar);
  for (let round = 0; round < 40; round++) {
    await sleep(100);
    flapping.reconnect();
  }
  await rig.expectConverged(30_000);
  for (const [index, count] of before.entries()) expect(rig.proxies[index]?.received.length).toBe(count);
  await change(rig, 2, flapping);
  const nonces = flapping.received.map(({ nonce }) => nonce);
  expect(new Set(nonces).size, "no nonce comes twice").toBe(nonces.length);
  await vi.waitFor(async () => expect(await countConnections(rig)).toBe(5), patient);
  await rig.expectInvariants(/proxy disconnected/);
});

test("fault 16: two proxies have one node id", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const same = { node: () => sidecar.node(160) };
  const [one, two, three] = [rig.connect("sotw", same), rig.connect("sotw", same), rig.connect("delta", same)];
  await rig.expectConverged(20_000);
  await change(rig, 2, one);
  await rig.expectConverged();
  one.stop();
  await vi.waitFor(async () => expect(await countConnections(rig)).toBe(6), patient);
  rig.proxies.splice(rig.proxies.indexOf(one), 1);
  await Promise.all([change(rig, 3, two), change(rig, 3, three)]);
  await rig.expectInvariants(/proxy connected.*client-160/);
});
