/** Faults 6, 7, 9 and 11 of the fault list: kinds that are taken away, a server that is cut off, objects that are poison. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { istioResources } from "../../src/api/resource-names.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { baseObjects, gateway, sidecar, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";
import { installCrds } from "./install-crds.ts";
import type { WatchingProxy } from "./watching-proxy.ts";

const patient = { timeout: 60_000, interval: 50 };
const backoff = { firstMs: 100, initialMs: 200, maxMs: 500, unreachedMaxMs: 500, quietMs: 60_000 };
const account = "system:serviceaccount:istio-system:faulty";
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
});
afterEach(async () => {
  await rig?.stop();
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], baseObjects());
});
afterAll(() => cluster?.stop());

async function startRig(options: RigOptions = {}): Promise<FaultRig> {
  rig = await FaultRig.start(cluster, { ...options, limits: { backoff, missingMs: 500, ...options.limits } });
  return rig;
}

/** What a proxy holds of one type. */
const heldOf = (proxy: WatchingProxy, type: "cds" | "eds" | "lds" | "rds"): unknown =>
  Object.fromEntries(proxy.held.get(type) ?? []);

/** Everybody learns of an endpoint: the other kinds live. */
async function expectOthersLive(rig: FaultRig, address: string): Promise<void> {
  const before = rig.proxies.map((proxy) => heldOf(proxy, "eds"));
  await rig.apply(sliceOf("cart", ["10.1.0.1", address]));
  await vi.waitFor(() => {
    for (const [index, proxy] of rig.proxies.entries()) expect(heldOf(proxy, "eds")).not.toEqual(before[index]);
  }, patient);
}

const findProblem = (rig: FaultRig, code: string): string | undefined =>
  rig.controlPlane.snapshot().messages.find((message) => message.code === code)?.text;

function roleWith(isComplete: boolean): string {
  const plurals = Object.values(istioResources).map(({ plural }) => plural);
  const allowed = isComplete ? plurals : plurals.filter((plural) => plural !== "virtualservices");
  return `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: faulty}
rules:
- apiGroups: ["", discovery.k8s.io]
  resources: [services, endpointslices, pods, nodes, namespaces, configmaps, secrets]
  verbs: [get, list, watch, create]
- apiGroups: [${[...new Set(Object.values(istioResources).map(({ group }) => group))].join(", ")}]
  resources: [${allowed.join(", ")}]
  verbs: [get, list, watch]`;
}

const setRole = (isComplete: boolean): Promise<string> => cluster.kubectl(["apply", "-f", "-"], roleWith(isComplete));

async function mayWatch(plural: string): Promise<boolean> {
  const asked = ["auth", "can-i", "watch", `${plural}.networking.istio.io`, "--as", account];
  // The exit code says it as well.
  return cluster.kubectl(asked).then(
    (answer) => answer.trim() === "yes",
    () => false,
  );
}

test("fault 6: the rights to one kind are taken away", { timeout: 120_000 }, async () => {
  await cluster.kubectl(["create", "serviceaccount", "faulty", "-n", "istio-system"]);
  await setRole(true);
  const binding = ["clusterrolebinding", "faulty", "--clusterrole=faulty", "--serviceaccount=istio-system:faulty"];
  await cluster.kubectl(["create", ...binding]);
  await vi.waitFor(async () => expect(await mayWatch("virtualservices")).toBe(true), patient);
  const rig = await startRig({ kubeconfig: (url) => cluster.kubeconfigOf("istio-system", "faulty", url) });

  await setRole(false);
  await vi.waitFor(async () => expect(await mayWatch("virtualservices")).toBe(false), patient);
  // The API server asks about rights when a watch begins, and never again.
  rig.proxy.endAnswers();
  await vi.waitFor(() => expect(findProblem(rig, "kind-forbidden")).toMatch(/VirtualService .*last known/), patient);
  const routes = rig.proxies.map((proxy) => heldOf(proxy, "rds"));
  await rig.apply(virtualServiceOf(2));
  await expectOthersLive(rig, "10.1.0.61");
  expect(rig.proxies.map((proxy) => heldOf(proxy, "rds"))).toEqual(routes);
  expect((await fetch(`http://127.0.0.1:${rig.controlPlane.httpPort}/ready`)).status).toBe(200);

  await setRole(true);
  await rig.expectConverged(30_000);
  expect(findProblem(rig, "kind-forbidden")).toBeUndefined();
  await rig.expectInvariants(/VirtualService may not be listed and watched.*RBAC/);
});

test("fault 7: the definition of a kind is deleted, and comes back", { timeout: 180_000 }, async () => {
  const rig = await startRig();
  const states = rig.proxies.map((proxy) => proxy.state());
  await cluster.kubectl(["delete", "crd", "virtualservices.networking.istio.io"]);
  await vi.waitFor(() => expect(findProblem(rig, "kind-missing")).toMatch(/VirtualService .*last known/), patient);
  expect(
    rig.proxies.map((proxy) => proxy.state()),
    "the objects of a kind that is gone stay",
  ).toEqual(states);
  const routes = rig.proxies.map((proxy) => heldOf(proxy, "rds"));
  await expectOthersLive(rig, "10.1.0.71");
  expect(rig.proxies.map((proxy) => heldOf(proxy, "rds"))).toEqual(routes);

  await installCrds(cluster);
  // One comes back changed, the other one does not: now it is really gone.
  await vi.waitFor(() => rig.apply(virtualServiceOf(7)), patient);
  await rig.expectConverged(30_000);
  expect(rig.proxies.map((proxy) => heldOf(proxy, "rds"))).not.toEqual(routes);
  await rig.expectInvariants(/VirtualService is not served by the API server/);
});

test("fault 9: the control plane is cut off from the API server", { timeout: 120_000 }, async () => {
  const limits = { requestTimeoutMs: 1000, probeMs: 800, probeWatchMs: 1000, graceMs: 200, silenceMs: 2500 };
  const rig = await startRig({ limits });
  rig.proxy.freeze();
  await rig.apply(`${virtualServiceOf(9)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.91"])}`);
  await vi.waitFor(() => expect(findProblem(rig, "api-server-unreached")).toMatch(/as it was last known/), patient);
  const states = rig.proxies.map((proxy) => proxy.state());
  const newcomers = [rig.connect("delta", sidecar), rig.connect("sotw", gateway)];
  await vi.waitFor(() => {
    expect(newcomers.map((proxy) => proxy.state())).toEqual([states[0], states[2]]);
  }, patient);
  expect((await fetch(`http://127.0.0.1:${rig.controlPlane.httpPort}/ready`)).status).toBe(200);

  rig.proxy.thaw();
  await vi.waitFor(() => expect(findProblem(rig, "api-server-unreached")).toBeUndefined(), patient);
  await rig.expectInvariants(/API server is not reached, the mesh stays as it was last known/);
  await vi.waitFor(() => expect(rig.findLogged(/solved: .*API server is not reached/)).toBeDefined(), patient);
});

/** All pass the schemas of the CRDs, or come from a time before them; the webhook is not asked. */
const poison = [
  `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad-expression, namespace: shop}
spec:
  hosts: [users.shop.svc.cluster.local]
  http: [{match: [{uri: {regex: "("}}], route: [{destination: {host: users}}]}]`,
  `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bad-tls, namespace: shop}
spec: {host: users.shop.svc.cluster.local, trafficPolicy: {tls: {mode: MUTUAL}}}`,
  `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bad-address, namespace: shop}
spec:
  hosts: [outside.example.com]
  addresses: [not-an-address]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: also/not}]`,
];
const poisonNames = ["bad-expression", "bad-tls", "bad-address"];

test("fault 11: objects that are poison", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  await rig.apply(poison.join("\n---\n"));
  const resourceVersion = (
    await cluster.kubectl([
      "get",
      "virtualservice",
      "bad-expression",
      "-n",
      "shop",
      "-o",
      "jsonpath={.metadata.resourceVersion}",
    ])
  ).trim();
  // What no schema would let pass: written by somebody before there was one.
  const monsters = [{ spec: "text" }, { spec: { hosts: 5, http: { a: [] } } }, { spec: null, status: [] }].map(
    (parts, index) => ({
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: `monster-${index}`, namespace: "shop", resourceVersion, uid: `m-${index}` },
      ...parts,
    }),
  );
  const lines = monsters.map((object) => `${JSON.stringify({ type: "ADDED", object })}\n`).join("");
  expect(rig.proxy.inject("/apis/networking.istio.io/v1/virtualservices", Buffer.from(lines))).toBe(1);
  for (const name of [...poisonNames, "monster-0", "monster-1"]) {
    await vi.waitFor(() => expect(rig.findLogged(new RegExp(`shop/${name}\\b`)), name).toBeDefined(), patient);
  }
  const [first] = rig.proxies;
  if (first === undefined) throw new Error("no proxy is connected");
  const routes = heldOf(first, "rds");
  await rig.apply(virtualServiceOf(11));
  await expectOthersLive(rig, "10.1.0.111");
  await vi.waitFor(() => expect(heldOf(first, "rds")).not.toEqual(routes), patient);
  const late = rig.connect("delta", sidecar);
  await vi.waitFor(() => expect(late.state()).toBe(first.state()), patient);
  await rig.expectInvariants(/VirtualService shop\/bad-expression/);
  await Promise.all([
    rig.remove("VirtualService", "bad-expression"),
    rig.remove("DestinationRule", "bad-tls"),
    rig.remove("ServiceEntry", "bad-address"),
  ]);
  await rig.expectConverged();
});
