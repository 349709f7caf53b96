import { expect, test } from "vitest";
import { TestClock } from "../../test/support/test-clock.ts";
import { parseObjects } from "../api/parse.ts";
import { silentLog } from "../lib/log.ts";
import { parseNode } from "../model/node.ts";
import type { ConnectedProxy } from "../model/proxy-connections.ts";
import { VerifiedIdentity } from "../model/verified-identity.ts";
import { createMemorySource } from "../sources/memory.ts";
import { createOverlaidSource } from "../sources/overlay.ts";
import { createAutoRegistration } from "./auto-registration.ts";
import type { EntryStore } from "./entry-store.ts";
import { createOverlayEntryStore } from "./overlay-entry-store.ts";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const name = "vms-10.0.0.1";

const group = {
  apiVersion: "networking.istio.io/v1",
  kind: "WorkloadGroup",
  metadata: { name: "vms", namespace: "shop" },
  spec: { template: { serviceAccount: "vm" } },
};

/** `mayWrite` false: the store is out of reach. The mesh hears of what is stored where it `isCurrent`. */
async function createRig() {
  const clock = new TestClock();
  clock.advance(1000);
  const rig = { mayWrite: true, isCurrent: true, hasGroup: true, counts: [] as string[], refused: [] as string[] };
  const source = createOverlaidSource(createMemorySource());
  await source.start({ apply: () => undefined });
  const inner = createOverlayEntryStore(source, clock);
  const store: EntryStore = {
    ...inner,
    read: (...words) => (rig.mayWrite ? inner.read(...words) : Promise.reject(new Error("out of reach"))),
  };
  const objects = parseObjects(group).flatMap(({ object }) => (object?.kind === "WorkloadGroup" ? [object] : []));
  const registrar = createAutoRegistration({
    settings: { registersProxies: true, takesHealth: true, checksIdentity: true },
    ...{ instance: "one", graceMs: 5000, maxConnectionAgeMs: Number.POSITIVE_INFINITY, store, clock, log: silentLog },
    mesh: {
      findGroup: () => (rig.hasGroup ? objects[0] : undefined),
      findEntry: (...words) => (rig.isCurrent ? source.find(...words) : undefined),
      listEntries: () => [source.find("shop", name) ?? []].flat(),
    },
    count: (counted) => rig.counts.push(counted),
  });
  let nextId = 1;
  const proxyOf = (account: string): ConnectedProxy => {
    const metadata = { NAMESPACE: "shop", AUTO_REGISTER_GROUP: "vms" };
    const proxy = parseNode({ id: "sidecar~10.0.0.1~vm.shop~shop", metadata });
    if (typeof proxy === "string") throw new Error(proxy);
    const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: account };
    return {
      id: String(nextId++),
      proxy,
      identity: VerifiedIdentity.verify(proxy, { identity, source: "token" }) as VerifiedIdentity,
      connectedAtMs: clock.now(),
      refuse: (reason) => rig.refused.push(reason),
    };
  };
  const wait = async (ms: number): Promise<void> => {
    await settle();
    clock.advance(ms);
    await settle();
  };
  const annotations = (): object | undefined => source.find("shop", name)?.meta.annotations;
  return { rig, registrar, source, proxyOf, wait, annotations };
}

test("a store that is out of reach is asked until it answers, for coming and for going", async () => {
  const { rig, registrar, proxyOf, wait, annotations } = await createRig();
  rig.mayWrite = false;
  const proxy = proxyOf("vm");
  expect(registrar.connect(proxy)).toBeUndefined();
  for (const ms of [20, 80, 320]) await wait(ms);
  expect(annotations()).toBeUndefined();
  rig.mayWrite = true;
  await wait(1280);
  expect(annotations()).toMatchObject({ "istio.io/connectedAt": "1970-01-01T00:00:01.000Z" });
  rig.mayWrite = false;
  registrar.disconnect(proxy);
  await wait(10_000);
  expect(annotations()).toHaveProperty(["istio.io/connectedAt"]);
  rig.mayWrite = true;
  await wait(60_000);
  expect(annotations()).toBeUndefined();
  expect(rig.refused).toEqual([]);
});

test("who is gone before anything was written leaves nothing behind", async () => {
  const { rig, registrar, proxyOf, wait, annotations } = await createRig();
  rig.hasGroup = false;
  const proxy = proxyOf("vm");
  registrar.connect(proxy);
  await wait(0);
  registrar.disconnect(proxy);
  await wait(0);
  rig.hasGroup = true;
  registrar.notify();
  await wait(10_000);
  expect(annotations()).toBeUndefined();
});

test("what is stored decides who may, where the mesh has not heard of it yet", async () => {
  const { rig, registrar, source, proxyOf, wait, annotations } = await createRig();
  registrar.connect(proxyOf("vm"));
  await wait(0);
  const made = source.find("shop", name);
  if (made === undefined) throw new Error("not registered");
  source.lay("shop", name, { made: { ...made, spec: { serviceAccount: "db" } }, annotations: made.meta.annotations });
  rig.isCurrent = false;
  registrar.connect(proxyOf("vm"));
  await wait(0);
  expect(rig.refused).toEqual(Array(2).fill('a workload with service account "vm" cannot be registered as "db"'));
  // Nobody is left who looks after it.
  expect(annotations()).toHaveProperty(["istio.io/disconnectedAt"]);
});

test("health that is told before the entry is there is written with it", async () => {
  const { rig, registrar, source, proxyOf, wait } = await createRig();
  rig.hasGroup = false;
  const proxy = proxyOf("vm");
  registrar.connect(proxy);
  registrar.reportHealth(proxy, { isHealthy: false, message: "no answer", atMs: 1000 });
  await wait(0);
  rig.hasGroup = true;
  registrar.notify();
  await wait(0);
  expect(source.find("shop", name)?.status).toEqual({ isHealthy: false });
});

test("a sweep clears up what an earlier process left, and leaves who is connected alone", async () => {
  const { registrar, source, proxyOf, wait, annotations, rig } = await createRig();
  registrar.start();
  registrar.connect(proxyOf("vm"));
  await wait(50_000);
  expect(annotations()).toBeDefined();
  const found = source.find("shop", name);
  await registrar.stop();
  expect(rig.counts).toEqual(["auto_registration_success_total"]);

  const other = await createRig();
  other.registrar.start();
  if (found === undefined) throw new Error("not registered");
  const made = { ...found, meta: { ...found.meta, annotations: {} } };
  const left = { "istio.io/autoRegistrationGroup": "vms", "istio.io/disconnectedAt": "1970-01-01T00:00:00Z" };
  other.source.lay("shop", name, { made, annotations: left });
  await other.wait(50_000);
  expect(other.annotations()).toBeUndefined();
  expect(other.rig.counts).toEqual(["auto_registration_deletes_total"]);
});
