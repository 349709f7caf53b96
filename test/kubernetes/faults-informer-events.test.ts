/** Faults I-12, I-14, I-15 and I-17 to I-19: what a watch tells, and what is done with it. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { createKubernetesSource } from "../../src/sources/kubernetes/kubernetes-source.ts";
import { readResourceVersion } from "../../src/sources/kubernetes/raw-object.ts";
import type { ObjectChange, SourceSink } from "../../src/sources/source.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { baseObjects, serviceOf, virtualServiceOf } from "./fault-mesh.ts";
import { eventLine, FaultPeriod, pathOfKind, patient, reopen } from "./fault-period.ts";
import type { Fault } from "./fault-proxy.ts";
import { FaultRig, printLine, type RigOptions, startFaultCluster } from "./fault-rig.ts";

const virtualServices = pathOfKind("VirtualService");
const services = pathOfKind("Service");
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
});
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], baseObjects());
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, options);
  return rig;
}

/** What happens to the bytes of the watch of one kind from its next opening on. */
async function changeBytes(rig: FaultRig, path: string, chunk: (bytes: Buffer) => readonly Buffer[]): Promise<void> {
  rig.proxy.rule = (asked): Fault | undefined =>
    asked.path === path && asked.isWatch && !asked.query.has("sendInitialEvents") ? { do: "change", chunk } : undefined;
  await reopen(rig, path);
}

/** Cuts bytes into whole lines, and gives those to `next`; what is no line yet waits. */
function byLine(next: (line: Buffer) => readonly Buffer[]): (bytes: Buffer) => readonly Buffer[] {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    const out: Buffer[] = [];
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      out.push(...next(rest.subarray(0, end + 1)));
      rest = rest.subarray(end + 1);
    }
    return out;
  };
}

const isBookmark = (line: Buffer): boolean => line.includes('"type":"BOOKMARK"');

/** A VirtualService that answers with a text, which the proxies are told byte by byte. */
function greetingOf(text: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeting, namespace: shop, annotations: {example.com/greeting: "${text}"}}
spec:
  hosts: [users.shop.svc.cluster.local]
  http:
  - directResponse: {status: 200, body: {string: "${text}"}}`;
}

async function readRaw(path: string): Promise<RawObject> {
  return JSON.parse(await cluster.kubectl(["get", "--raw", path])) as RawObject;
}

interface RawObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly resourceVersion: string };
}

const cartPath = pathOfKind("VirtualService").replace("/virtualservices", "/namespaces/shop/virtualservices/cart");

test("I-12: an event breaks off in the middle of its line", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const period = new FaultPeriod(rig);
  let told = 0;
  // Half of an event, then nothing until the connection ends in good order.
  await changeBytes(
    rig,
    virtualServices,
    byLine((line) => (isBookmark(line) || told++ > 0 ? [] : [line.subarray(0, line.length / 2)])),
  );
  await rig.apply(virtualServiceOf(2));
  await vi.waitFor(() => expect(told).toBe(1), patient);
  rig.proxy.rule = undefined;
  rig.proxy.endAnswers(virtualServices);
  await rig.expectConverged();
  // The same with the end of the line: no JSON, and the connection goes on.
  expect(rig.proxy.inject(virtualServices, Buffer.from('{"type":"MODIFIED","object":{"kin\n'))).toBe(1);
  await rig.apply(virtualServiceOf(3));
  await rig.expectInvariants(/the watch ended within an event/);
  expect(rig.findLogged(/an event is not JSON/)).toBeDefined();
  // What was torn is told again: the watch goes on from before it.
  period.expectLists(0);
  period.expectRequests(8);
  period.expectUntouched("virtualservices");
});

test("I-12: events come in other pieces than they were sent in", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const period = new FaultPeriod(rig);
  let held: Buffer[] = [];
  // Two in one chunk.
  let joined = 0;
  await changeBytes(
    rig,
    virtualServices,
    byLine((line) => {
      held.push(line);
      if (held.length < 2) return [];
      joined++;
      const both = Buffer.concat(held);
      held = [];
      return [both];
    }),
  );
  await rig.apply(greetingOf("Καλημέρα, Αἰγαῖον 🌊"));
  await rig.apply(virtualServiceOf(4));
  await vi.waitFor(() => expect(joined).toBeGreaterThan(0), patient);
  await rig.expectConverged();
  // One in three, with both cuts inside a character.
  let torn = 0;
  await changeBytes(
    rig,
    virtualServices,
    byLine((line) => {
      const inner = [...line.keys()].filter((at) => isContinuation(line[at]));
      const [first, last] = [inner[0], inner.at(-1)];
      if (first === undefined || last === undefined || first === last) return [line];
      torn++;
      return [line.subarray(0, first), line.subarray(first, last), line.subarray(last)];
    }),
  );
  await rig.apply(greetingOf("Ὁ μελτέμι πνέει — 北風 ☀️"));
  await rig.expectConverged();
  expect(torn).toBeGreaterThan(0);
  // And byte by byte.
  await changeBytes(rig, virtualServices, (bytes) => [...bytes.keys()].map((at) => bytes.subarray(at, at + 1)));
  await rig.apply(greetingOf("Ένα — 二 — three 🧭"));
  await rig.expectInvariants(/objects are listed/);
  period.expectLists(0);
  // Opened anew by the test alone: nothing of this is a fault for the watch.
  expect(period.watches("virtualservices").length).toBe(3);
  period.expectUntouched("virtualservices");
  expect(period.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
  await rig.remove("VirtualService", "greeting");
  await rig.expectConverged();
});

/** Bytes of a UTF-8 character after its first. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Sends bookmarks through all watches twice a second, each after a change of something that nobody watches. */
async function sendBookmarks(rig: FaultRig, isOver: () => boolean): Promise<string> {
  const client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
  let resourceVersion = "";
  while (!isOver()) {
    const body = { metadata: { generateName: "elsewhere-" } };
    const path = "/api/v1/namespaces/shop/configmaps";
    resourceVersion = readResourceVersion(await client.request({ method: "POST", path, body }));
    const bookmark = eventLine("BOOKMARK", { metadata: { resourceVersion } });
    for (const watched of new Set(rig.proxy.listWatches().map((watch) => watch.path))) {
      rig.proxy.inject(watched, bookmark);
    }
    await sleep(500);
  }
  client.close();
  return resourceVersion;
}

/** Ten minutes at a thirtieth of all lengths: a silence of 6 s in place of 3 minutes, a bookmark twice a second. */
test("I-14: a watch tells nothing but bookmarks for long, then an event", { timeout: 120_000 }, async () => {
  const rig = await startRig({ isStarted: false, limits: { probeMs: 2000, probeWatchMs: 1000, silenceMs: 6000 } });
  let isOver = false;
  const sent = sendBookmarks(rig, () => isOver);
  await rig.startControlPlane();
  await rig.connectProxies();
  const period = new FaultPeriod(rig);
  await sleep(20_000);
  isOver = true;
  const resourceVersion = await sent;
  // Nobody took the silence between them for a fault.
  period.expectUntouched();
  expect(rig.proxy.listWatches().length).toBeGreaterThan(15);
  await reopen(rig, virtualServices);
  expect(period.watches("virtualservices").at(-1)?.query.get("resourceVersion")).toBe(resourceVersion);
  await rig.apply(`${virtualServiceOf(5)}\n---\n${serviceOf("extra", 95)}`);
  await rig.expectInvariants(/objects are listed/);
  period.expectLists(0);
  expect(period.lines.filter(({ level }) => level === "warn" || level === "error")).toEqual([]);
  await rig.remove("Service", "extra");
});

test("I-15: events come twice, in the wrong order, and about objects that nobody knows", {
  timeout: 120_000,
}, async () => {
  const rig = await startRig();
  const period = new FaultPeriod(rig);
  const first = await readRaw(cartPath);
  await rig.apply(virtualServiceOf(6));
  await rig.expectConverged();
  const now = await readRaw(cartPath);
  const responses = rig.proxies.map(({ received }) => received.length);
  // Twice, and late: nobody is told anything.
  for (const type of ["ADDED", "MODIFIED"]) {
    for (const object of [now, now, first, first]) rig.proxy.inject(virtualServices, eventLine(type, object));
  }
  // Never heard of it.
  const stranger = { ...first.metadata, name: "stranger", uid: "8c1d0b4e-0000-4000-8000-000000000000" };
  rig.proxy.inject(virtualServices, eventLine("DELETED", { ...first, metadata: stranger }));
  // Of another kind altogether.
  rig.proxy.inject(virtualServices, eventLine("ADDED", { kind: "Pod", metadata: { name: "cart", namespace: "shop" } }));
  await vi.waitFor(() => expect(rig.findLogged(/about no object of the kind/)).toBeDefined(), patient);
  await rig.expectConverged();
  expect(rig.proxies.map(({ received }) => received.length)).toEqual(responses);

  // MODIFIED and DELETED of objects whose ADDED was lost on the way.
  await changeBytes(
    rig,
    virtualServices,
    byLine((line) => (line.includes('"type":"ADDED"') ? [] : [line])),
  );
  await rig.apply(virtualServiceOf(2, "unheard", "users"));
  await rig.apply(`${virtualServiceOf(3, "unheard", "users")}\n---\n${virtualServiceOf(1, "unseen", "catalog")}`);
  await rig.remove("VirtualService", "unseen");
  await rig.expectConverged();
  expect(rig.controlPlane.snapshot().virtualServices.map(({ object }) => object.meta.name)).toContain("unheard");

  // Two changes in the wrong order.
  let held: Buffer | undefined;
  let swapped = 0;
  await changeBytes(
    rig,
    virtualServices,
    byLine((line) => {
      if (isBookmark(line)) return [line];
      const before = held;
      held = before === undefined ? line : undefined;
      if (before === undefined) return [];
      swapped++;
      return [line, before];
    }),
  );
  await rig.apply(virtualServiceOf(7));
  await rig.apply(virtualServiceOf(8));
  await vi.waitFor(() => expect(swapped).toBe(1), patient);
  await rig.expectConverged();
  // A change that is told after the deletion of its object does not bring it back.
  await rig.apply(virtualServiceOf(4, "unheard", "users"));
  await rig.remove("VirtualService", "unheard");
  await vi.waitFor(() => expect(swapped).toBe(2), patient);
  await rig.expectInvariants(/about no object of the kind/);
  // Whether the deletion was believed by then is a matter of milliseconds; where it was, a list says that it holds.
  period.expectLists(1);
  period.expectRequests(12);
  period.expectUntouched("virtualservices");

  // Nor does one that comes when the deletion is long forgotten: nobody can know, so that the kind is listed, once.
  await rig.apply(serviceOf("extra", 98));
  await rig.expectConverged();
  const late = await readRaw("/api/v1/namespaces/shop/services/extra");
  await rig.remove("Service", "extra");
  await rig.expectConverged();
  rig.proxy.inject(services, eventLine("ADDED", late));
  await vi.waitFor(() => expect(rig.findLogged(/events came in the wrong order/)).toBeDefined(), patient);
  await rig.expectInvariants(/events came in the wrong order/);
  expect(period.lists("services")).toBe(1);
  period.expectLists(1);
  period.expectUntouched("virtualservices", "services");
});

test("I-17: an object is deleted and made anew under its name while the watch is away", {
  timeout: 120_000,
}, async () => {
  const rig = await startRig();
  await rig.apply(`${serviceOf("extra", 91)}\n---\n${virtualServiceOf(1, "anew", "users")}`);
  await rig.apply(virtualServiceOf(2, "same", "catalog"));
  await rig.expectConverged();
  const before = uidsOf(rig);
  const period = new FaultPeriod(rig);
  rig.proxy.rule = ({ path, isWatch }): Fault | undefined =>
    isWatch && (path === virtualServices || path === services) ? { do: "reset" } : undefined;
  rig.proxy.endAnswers(virtualServices);
  rig.proxy.endAnswers(services);
  await rig.remove("Service", "extra");
  await rig.remove("VirtualService", "anew");
  await rig.remove("VirtualService", "same");
  await rig.apply(`${serviceOf("extra", 92)}\n---\n${virtualServiceOf(2, "anew", "users")}`);
  // Made anew with what it had: nothing changes but who it is.
  await rig.apply(virtualServiceOf(2, "same", "catalog"));
  await rig.remove("Service", "users");
  await rig.apply(serviceOf("users"));
  rig.proxy.rule = undefined;
  await rig.expectConverged();
  const { items } = (await readRaw(virtualServices)) as unknown as { readonly items: readonly RawObject[] };
  const stored = new Map(items.map(({ metadata }) => [metadata.name, metadata.uid]));
  await vi.waitFor(() => expect(uidsOf(rig)).toEqual(stored), patient);
  for (const name of ["anew", "same"]) expect(stored.get(name), name).not.toBe(before.get(name));
  expect(stored.get("cart")).toBe(before.get("cart"));
  await rig.expectInvariants(/API server is not reached/);
  period.expectLists(0);
  period.expectRequests(20);
  period.expectUntouched("virtualservices", "services");
  for (const name of ["anew", "same"]) await rig.remove("VirtualService", name);
  await rig.remove("Service", "extra");
});

/** Who the VirtualServices of the mesh are, by name. */
function uidsOf(rig: FaultRig): ReadonlyMap<string, string | undefined> {
  return new Map(rig.controlPlane.snapshot().virtualServices.map(({ object: { meta } }) => [meta.name, meta.uid]));
}

test("I-18: the mesh throws when it is told of an object", { timeout: 120_000 }, async () => {
  let isPoisonous = true;
  let thrown = 0;
  const isPoison = (change: ObjectChange): boolean => change.type === "set" && change.object.meta.name === "poison";
  const taking = (sink: SourceSink): SourceSink => ({
    apply(changeSet) {
      if (isPoisonous && changeSet.changes.some(isPoison)) {
        thrown++;
        throw new Error("the mesh cannot bear this object");
      }
      sink.apply(changeSet);
    },
  });
  const rig = await startRig({
    source: async (url, log) => {
      const kubeconfig = cluster.kubeconfigFor(url);
      const client = await createKubeClient({ kubeconfig, clock: systemClock, log: silentLog });
      const options = { systemNamespace: "istio-system", configMapNames: ["istio"], secretNamespaces: [] };
      const backoff = { firstMs: 200, initialMs: 800, maxMs: 2000, unreachedMaxMs: 2000, quietMs: 120_000 };
      const limits = { backoff };
      const { clock, random } = { clock: systemClock, random: Math.random };
      const inner = createKubernetesSource({ client, clock, random, log, limits, ...options });
      return {
        name: inner.name,
        start: (sink) => inner.start(taking(sink)),
        stop: () => inner.stop().finally(() => client.close()),
      };
    },
  });
  const period = new FaultPeriod(rig);
  // Neighbours of the same kind and of others, before and after it.
  const good = `${virtualServiceOf(7)}\n---\n${serviceOf("extra", 93)}`;
  await rig.apply(
    `${good}\n---\n${virtualServiceOf(3, "poison", "users")}\n---\n${virtualServiceOf(2, "z", "catalog")}`,
  );
  const names = (): readonly string[] =>
    rig.controlPlane.snapshot().virtualServices.map(({ object: { meta } }) => meta.name);
  await vi.waitFor(() => expect(names()).toContain("z"), patient);
  await vi.waitFor(() => expect(rig.findLogged(/could not be applied.*poison/)).toBeDefined(), patient);
  expect(names()).not.toContain("poison");
  // Everybody else goes on, whatever becomes of it.
  await rig.apply(virtualServiceOf(8));
  const attemptsOf = (name: string): unknown => {
    const found = rig.controlPlane.snapshot().virtualServices.find(({ object }) => object.meta.name === name);
    return found?.spec.http?.[0]?.retries?.attempts;
  };
  await vi.waitFor(() => expect(attemptsOf("cart")).toBe(8), patient);
  const before = thrown;
  await sleep(4000);
  expect(thrown - before, "tried again with rests between").toBeLessThan(20);
  expect(thrown).toBeGreaterThan(1);
  isPoisonous = false;
  await vi.waitFor(() => expect(attemptsOf("poison")).toBe(3), patient);
  await rig.expectInvariants(/could not be applied/);
  await vi.waitFor(() => expect(rig.findLogged(/solved:.*poison/)).toBeDefined(), patient);
  // The server has nothing to do with it.
  period.expectUntouched();
  for (const name of ["poison", "z"]) await rig.remove("VirtualService", name);
  await rig.remove("Service", "extra");
  await rig.expectConverged();
});

test("I-19: the clock jumps an hour ahead and back", { timeout: 120_000 }, async () => {
  const hour = 3_600_000;
  let jumped = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + jumped };
  const rig = await startRig({ clock });
  const period = new FaultPeriod(rig);
  const responses = rig.proxies.map(({ received }) => received.length);
  for (const [round, ms] of [hour, 0, -hour, 0].entries()) {
    jumped = ms;
    await sleep(300);
    // Nothing happens because of it.
    expect(rig.proxies.map(({ received }) => received.length)).toEqual(responses);
    await rig.apply(`${virtualServiceOf(10 + round)}\n---\n${serviceOf("extra", 80 + round)}`);
    await rig.expectConverged();
    responses.splice(0, responses.length, ...rig.proxies.map(({ received }) => received.length));
  }
  await rig.expectInvariants(/objects are listed/);
  period.expectUntouched();
  // Both are true, and told only where somebody looks at the time just then; the authority stays in use.
  const told = [/^the time of day has jumped /, /^the certificate authority cannot be read again.* is not valid yet/];
  const problems = period.lines.filter(({ level }) => level === "warn" || level === "error");
  expect(problems.map(printLine).filter((text) => !told.some((one) => one.test(text)))).toEqual([]);
  await rig.remove("Service", "extra");
});

test("I-19: the machine sleeps for an hour", { timeout: 120_000 }, async () => {
  let slept = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => systemClock.now() + slept,
    monotonic: () => systemClock.monotonic() + slept,
  };
  const limits = { probeMs: 2000, silenceMs: 60_000 };
  const rig = await startRig({ clock, limits });
  const period = new FaultPeriod(rig);
  slept = 3_600_000;
  await rig.apply(`${virtualServiceOf(9)}\n---\n${serviceOf("extra", 97)}`);
  // All watches seem to have been silent for that hour: they are opened anew, and go on from where they were.
  await vi.waitFor(() => expect(rig.findLogged(/the watch was silent/)).toBeDefined(), patient);
  await rig.expectInvariants(/the watch was silent/);
  period.expectLists(0);
  period.expectRequests(10);
  await rig.remove("Service", "extra");
  await rig.expectConverged();
});
