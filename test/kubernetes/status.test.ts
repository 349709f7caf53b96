/** Statuses on a real API server, with the CRDs that people apply: written once, kept right, and never in a loop. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import { KubeApiError, type KubeClient, type KubeRequest } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import type { Message } from "../../src/lib/message.ts";
import type { StatusDistribution } from "../../src/status/istio-status.ts";
import {
  createStatusWriter,
  type MeshView,
  type StatusLimits,
  type StatusObject,
  type StatusWriter,
} from "../../src/status/status-writer.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { installCrds } from "./install-crds.ts";

const folder = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
const quick: Partial<StatusLimits> = { settleMs: 20, holdMs: 300, writesPerSecond: 200, burst: 200, blockMs: 200 };
const live = (count: number, using = count): StatusDistribution => ({ using, live: count, refused: 0, refusal: "" });

let cluster: Cluster;
let client: KubeClient;
const writers: StatusWriter[] = [];

interface StoredObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly resourceVersion: string;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly Readonly<Record<string, unknown>>[];
    readonly validationMessages?: readonly unknown[];
  };
}

/** What a writer is told, as a test sets it. */
class Mesh {
  objects: StatusObject[] = [];
  messages: Message[] = [];
  readonly distribution = new Map<string, StatusDistribution>();
  readonly view = (): MeshView => {
    const { objects, messages, distribution } = this;
    return { objects, messages, distribution };
  };

  /** Takes in the objects as they are stored now, as a source does. */
  async read(): Promise<this> {
    const list = (await client.request({ path: folder })) as { readonly items: readonly StoredObject[] };
    this.objects = list.items.map(({ metadata: { name, uid, generation } }) => ({
      kind: "VirtualService",
      apiVersion: "networking.istio.io/v1",
      meta: { namespace: "default", name, uid, generation },
    }));
    return this;
  }
}

/** Is asked like an election, and does what a test says. */
class Lead {
  #isLeader: boolean;
  readonly #listeners: ((isLeader: boolean) => void)[] = [];

  constructor(isLeader = true) {
    this.#isLeader = isLeader;
  }

  isLeader(): boolean {
    return this.#isLeader;
  }

  onChange(listener: (isLeader: boolean) => void): void {
    this.#listeners.push(listener);
  }

  set(isLeader: boolean): void {
    this.#isLeader = isLeader;
    for (const listener of this.#listeners) listener(isLeader);
  }
}

interface Watched {
  readonly writer: StatusWriter;
  /** Methods and paths of what was asked. */
  readonly asked: string[];
  readonly warnings: string[];
}

function startWriter(mesh: Mesh, lead = new Lead(), limits = quick, through: KubeClient = client): Watched {
  const asked: string[] = [];
  const warnings: string[] = [];
  const watched: KubeClient = {
    server: through.server,
    request: (request: KubeRequest) => {
      asked.push(`${request.method ?? "GET"} ${request.path}`);
      return through.request(request);
    },
    stream: (request) => through.stream(request),
    close: () => undefined,
  };
  const log: Log = { ...silentLog, warn: (text) => void warnings.push(text) };
  const writer = createStatusWriter({
    client: watched,
    clock: systemClock,
    log,
    election: lead,
    readMesh: mesh.view,
    limits,
  });
  writers.push(writer);
  writer.start();
  return { writer, asked, warnings };
}

const patches = ({ asked }: Watched): readonly string[] => asked.filter((line) => line.startsWith("PATCH"));

async function create(name: string, timeout = "5s"): Promise<void> {
  await cluster.kubectl(
    ["apply", "--server-side", "-f", "-"],
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: default}
spec: {hosts: [${name}.example.com], http: [{timeout: ${timeout}, route: [{destination: {host: a.example.com}}]}]}`,
  );
}

async function read(name: string): Promise<StoredObject> {
  return (await client.request({ path: `${folder}/${name}` })) as StoredObject;
}

async function conditionOf(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  return (await read(name)).status?.conditions?.find(({ type }) => type === "Reconciled");
}

const shows = (name: string, expected: object) => async (): Promise<void> =>
  expect(await conditionOf(name)).toMatchObject(expected);

/** Long enough for a writer to look again, and to hold what it holds. */
const settle = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 800));

beforeAll(async () => {
  cluster = await startCluster();
  await installCrds(cluster);
  client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog, qps: 1000 });
});

beforeEach(async () => {
  await client.request({ method: "DELETE", path: folder });
});

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.stop();
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

test("says on how many proxies an object is live, and kubectl shows it", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  mesh.distribution.set("VirtualService/default/cart", live(3, 5));
  const { writer } = startWriter(mesh);
  await vi.waitFor(shows("cart", { status: "False", reason: "Distributing", observedGeneration: 1 }), 5000);
  const first = await conditionOf("cart");
  mesh.distribution.set("VirtualService/default/cart", live(5));
  writer.notify();
  await vi.waitFor(shows("cart", { status: "True", message: "5/5 proxies up to date." }), 5000);
  expect((await read("cart")).status?.observedGeneration).toBe(1);
  expect(first?.["lastTransitionTime"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(await cluster.kubectl(["get", "vs", "cart", "-o", "wide"])).toContain("5/5 proxies up to date.");
  await cluster.kubectl(["wait", "--for=condition=Reconciled", "--timeout=5s", "vs/cart"]);
});

test("writes once: nothing at the next look, after a restart, or by another leader", async () => {
  for (const name of ["a", "b", "c"]) await create(name);
  const mesh = await new Mesh().read();
  mesh.messages = [warningOf("a")];
  const first = startWriter(mesh);
  await vi.waitFor(() => expect(patches(first)).toHaveLength(3), 5000);
  first.writer.notify();
  await settle();
  expect(patches(first)).toHaveLength(3);
  await first.writer.stop();
  const second = startWriter(await mesh.read());
  await settle();
  // One list, no look at single objects.
  expect(second.asked).toEqual(["GET /apis/networking.istio.io/v1/virtualservices"]);
  expect((await read("a")).status?.validationMessages).toEqual([
    { type: { name: "UnknownHost", code: "unknown-host" }, level: "WARNING", message: "spec.hosts[0]: nobody has it" },
  ]);
});

function warningOf(name: string, level: Message["level"] = "warning"): Message {
  const object = { kind: "VirtualService", namespace: "default", name };
  return { level, code: "unknown-host", object, path: "spec.hosts[0]", text: "nobody has it" };
}

test("counts that move as proxies come and go are written when they stay, and not when they come back", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  const key = "VirtualService/default/cart";
  mesh.distribution.set(key, live(5));
  const watched = startWriter(mesh);
  await vi.waitFor(() => expect(patches(watched)).toHaveLength(1), 5000);
  const before = await conditionOf("cart");
  mesh.distribution.set(key, live(4, 5));
  watched.writer.notify();
  await new Promise((resolve) => void setTimeout(resolve, 100));
  mesh.distribution.set(key, live(5));
  watched.writer.notify();
  await settle();
  expect(patches(watched)).toHaveLength(1);
  mesh.distribution.set(key, live(6));
  watched.writer.notify();
  await vi.waitFor(shows("cart", { message: "6/6 proxies up to date." }), 5000);
  expect((await conditionOf("cart"))?.["lastTransitionTime"]).toBe(before?.["lastTransitionTime"]);
});

test("an object with errors says which, of the generation that has them", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  mesh.distribution.set("VirtualService/default/cart", live(2));
  const { writer } = startWriter(mesh);
  await vi.waitFor(shows("cart", { status: "True" }), 5000);
  // The source keeps the last good form: the mesh goes on with generation 1.
  await create("cart", "7s");
  mesh.messages = [warningOf("cart", "error")];
  writer.notify();
  await vi.waitFor(shows("cart", { status: "False", reason: "ValidationFailed", observedGeneration: 2 }), 5000);
  mesh.messages = [];
  await mesh.read();
  writer.notify();
  await vi.waitFor(shows("cart", { status: "True", observedGeneration: 2 }), 5000);
  expect((await read("cart")).status?.validationMessages).toBeUndefined();
});

test("conditions of others stay, and their writes are no obstacle", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  const { writer } = startWriter(mesh);
  await vi.waitFor(shows("cart", { reason: "Unused" }), 5000);
  const ours = await conditionOf("cart");
  const body = { status: { conditions: [ours, { type: "PassedAnalysis", status: "True" }] } };
  const contentType = "application/merge-patch+json";
  await client.request({ method: "PATCH", path: `${folder}/cart/status`, body, contentType });
  mesh.distribution.set("VirtualService/default/cart", { ...live(1, 2), refused: 1, refusal: "no such filter" });
  writer.notify();
  await vi.waitFor(shows("cart", { reason: "Refused", message: expect.stringContaining("no such filter") }), 5000);
  expect((await read("cart")).status?.conditions?.map(({ type }) => type).sort()).toEqual([
    "PassedAnalysis",
    "Reconciled",
  ]);
});

test("fault 28: only the leader writes, and one that was paused in the midst of it does not", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  const follower = startWriter(mesh, new Lead(false));
  follower.writer.notify();
  const [lead, successor] = [new Lead(), new Lead(false)];
  let resume = (): void => undefined;
  // Paused between looking at the object and writing it.
  const paused = new Promise<void>((resolve) => {
    resume = resolve;
  });
  const halting: KubeClient = {
    server: client.server,
    stream: (request) => client.stream(request),
    close: () => undefined,
    request: async (request) => {
      if (request.method === "PATCH") await paused;
      return client.request(request);
    },
  };
  const former = startWriter(mesh, lead, quick, halting);
  await vi.waitFor(() => expect(patches(former)).toHaveLength(1), 5000);
  const newer = new Mesh();
  await newer.read();
  newer.distribution.set("VirtualService/default/cart", live(9));
  startWriter(newer, successor);
  successor.set(true);
  await vi.waitFor(shows("cart", { message: "9/9 proxies up to date." }), 5000);
  const { resourceVersion } = (await read("cart")).metadata;
  lead.set(false);
  resume();
  await settle();
  expect((await read("cart")).metadata.resourceVersion).toBe(resourceVersion);
  expect(follower.asked).toEqual([]);
});

test("objects that go, come again or change meanwhile are no obstacle to others", async () => {
  for (const name of ["gone", "anew", "stays"]) await create(name);
  const mesh = await new Mesh().read();
  await client.request({ method: "DELETE", path: `${folder}/gone` });
  await client.request({ method: "DELETE", path: `${folder}/anew` });
  await create("anew");
  const watched = startWriter(mesh);
  await vi.waitFor(shows("stays", { reason: "Unused" }), 5000);
  // What the mesh says is about an object that is no more.
  expect(await conditionOf("anew")).toBeUndefined();
  await mesh.read();
  watched.writer.notify();
  await vi.waitFor(shows("anew", { reason: "Unused" }), 5000);
});

test("without the right to write it says so once, and writes when the right is there", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  let isAllowed = false;
  const limited: KubeClient = {
    server: client.server,
    stream: (request) => client.stream(request),
    close: () => undefined,
    request: async (request) => {
      if (request.method === "PATCH" && !isAllowed) throw new KubeApiError(403, "forbidden", { reason: "Forbidden" });
      return client.request(request);
    },
  };
  const watched = startWriter(mesh, new Lead(), quick, limited);
  await vi.waitFor(() => expect(patches(watched).length).toBeGreaterThan(2), 10_000);
  expect(watched.warnings).toEqual(["statuses of a kind cannot be written"]);
  isAllowed = true;
  await vi.waitFor(shows("cart", { reason: "Unused" }), 5000);
});

test("an API server that is away costs nothing but time", async () => {
  await create("cart");
  const mesh = await new Mesh().read();
  const { writer } = startWriter(mesh);
  await vi.waitFor(shows("cart", { reason: "Unused" }), 5000);
  await cluster.apiServer.kill();
  mesh.distribution.set("VirtualService/default/cart", { ...live(1, 2), refused: 1, refusal: "no" });
  writer.notify();
  await settle();
  await cluster.apiServer.start();
  await vi.waitFor(shows("cart", { reason: "Refused" }), 20_000);
}, 60_000);
