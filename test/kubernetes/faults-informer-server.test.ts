/** Faults I-7 to I-11 and I-16: servers that are away, refuse, know other kinds than before, or went back in time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { istioResources, kubeResources, type ResourceNames } from "../../src/api/resource-names.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { baseObjects, serviceOf, sliceOf, virtualServiceOf } from "./fault-mesh.ts";
import { FaultPeriod, pathOfKind, patient, reopen } from "./fault-period.ts";
import type { Fault } from "./fault-proxy.ts";
import { FaultRig, type RigOptions, startFaultCluster } from "./fault-rig.ts";
import { installCrds } from "./install-crds.ts";

const virtualServices = pathOfKind("VirtualService");
const destinationRules = pathOfKind("DestinationRule");
const quickBackoff = { firstMs: 200, initialMs: 800, maxMs: 1000, unreachedMaxMs: 1000, quietMs: 120_000 };
let cluster: Cluster;
let rig: FaultRig | undefined;

beforeAll(async () => {
  cluster = await startFaultCluster();
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

async function readiness({ controlPlane }: FaultRig): Promise<number> {
  return (await fetch(`http://127.0.0.1:${controlPlane.httpPort}/ready`)).status;
}

function ruleOf(balancer: string): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec:
  host: catalog.shop.svc.cluster.local
  trafficPolicy: {loadBalancer: {simple: ${balancer}}}`;
}

/** A clock on which everything takes a tenth of the time: the five minutes are thirty seconds, with all their back-offs. */
function hasten(factor: number): Clock {
  const [startedAt, sinceMs] = [systemClock.now(), systemClock.monotonic()];
  const elapsed = (): number => (systemClock.monotonic() - sinceMs) * factor;
  return {
    now: () => startedAt + elapsed(),
    monotonic: () => sinceMs + elapsed(),
    after: (delayMs, run) => systemClock.after(delayMs / factor, run),
    every: (periodMs, run) => systemClock.every(periodMs / factor, run),
  };
}

test("I-7: the API server is away for five minutes", { timeout: 180_000 }, async () => {
  // Machines of tests are slow: what must be answered in time gets the time that it would have had.
  const rig = await startRig({ clock: hasten(10), limits: { requestTimeoutMs: 300_000, streamedListMs: 600_000 } });
  await rig.apply(serviceOf("extra", 91));
  await rig.expectConverged();
  const period = new FaultPeriod(rig);
  const before = rig.proxies.map((proxy) => ({ proxy, state: proxy.state(), responses: proxy.received.length }));
  const awayUntil = Date.now() + 30_000;
  await Promise.all([rig.proxy.refuse(), cluster.apiServer.stop()]);
  await sleep(awayUntil - Date.now());
  for (const { proxy, state, responses } of before) {
    expect(proxy.state()).toBe(state);
    expect(proxy.received.length, "nothing new to tell").toBe(responses);
  }
  expect(await readiness(rig)).toBe(200);
  expect(rig.findLogged(/the API server is not reached, the mesh stays as it was last known.*APIServer/)).toBeDefined();
  // One line for each attempt: on the clock of the control plane a kind tries once a second, at most.
  const attempts = new Map<unknown, number>();
  for (const { text, fields } of period.lines) {
    if (text.startsWith("objects cannot be watched"))
      attempts.set(fields["kind"], (attempts.get(fields["kind"]) ?? 0) + 1);
  }
  expect(attempts.size).toBeGreaterThan(10);
  for (const [kind, count] of attempts) expect(count, `attempts for ${kind}`).toBeLessThan(330);

  await cluster.apiServer.start();
  // It has changed before we see it again, and has forgotten what was before.
  await rig.apply(`${virtualServiceOf(2)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.71"])}`);
  await rig.remove("Service", "extra");
  const back = new FaultPeriod(rig);
  await rig.proxy.accept();
  await rig.expectConverged();
  await rig.expectInvariants(/API server is not reached/);
  back.expectLists(1);
  back.expectRequests(10);
  await vi.waitFor(() => expect(rig.findLogged(/solved: the API server is not reached/)).toBeDefined(), patient);
});

test("I-8: the server has no time, and says how long it wants to be left alone", { timeout: 120_000 }, async () => {
  const rig = await startRig();
  const status = (code: number, reason: string, details?: object): object => ({
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    message: `${reason}, for a test`,
    reason,
    code,
    ...(details === undefined ? {} : { details }),
  });
  const answers: readonly Fault[] = [
    { do: "answer", status: 500, body: status(500, "InternalError") },
    { do: "answer", status: 503, body: status(503, "ServiceUnavailable"), headers: { "retry-after": "2" } },
    { do: "answer", status: 429, body: status(429, "TooManyRequests"), headers: { "retry-after": "3" } },
    { do: "answer", status: 504, body: status(504, "Timeout", { retryAfterSeconds: 1 }) },
  ];
  let given = 0;
  const period = new FaultPeriod(rig);
  rig.proxy.rule = ({ path, isWatch }): Fault | undefined =>
    path === virtualServices && isWatch ? answers[given++] : undefined;
  rig.proxy.endAnswers(virtualServices);
  await rig.apply(virtualServiceOf(3));
  await vi.waitFor(() => expect(given).toBe(answers.length + 1), patient);
  await rig.expectInvariants(/TooManyRequests/);
  const times = period.watches("virtualservices").map(({ atMs }) => atMs);
  expect(times.length).toBe(answers.length + 1);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  for (const [index, least] of [0, 2000, 3000, 1000].entries()) {
    expect(gaps[index], `wait ${index}`).toBeGreaterThanOrEqual(least);
    expect(gaps[index], `wait ${index}`).toBeLessThan(least * 1.2 + 10_000);
  }
  period.expectLists(0);
  period.expectUntouched("virtualservices");
});

test("I-9: the token is refused, and another one stands in its file", { timeout: 120_000 }, async () => {
  const account = ["-n", "istio-system", "serviceaccount", "reader"] as const;
  const create = (): Promise<string> => cluster.kubectl(["create", ...account.slice(2), ...account.slice(0, 2)]);
  await create();
  const binding = ["create", "clusterrolebinding", "reader", "--clusterrole=cluster-admin"];
  await cluster.kubectl([...binding, "--serviceaccount=istio-system:reader"]);
  const tokenFile = join(cluster.folder, "rotated-token");
  const newToken = async (): Promise<string> =>
    (await cluster.kubectl(["-n", "istio-system", "create", "token", "reader"])).trim();
  const first = await newToken();
  writeFileSync(tokenFile, first);
  const rig = await startRig({
    limits: { backoff: quickBackoff },
    kubeconfig: async (url) => {
      const path = join(cluster.folder, "kubeconfig-with-token-file");
      const config = parse(await cluster.kubectl(["config", "view", "--raw", "--minify"])) as KubeconfigText;
      const clusters = config.clusters.map((each) => ({ ...each, cluster: { ...each.cluster, server: url } }));
      const users = config.users.map(({ name }) => ({ name, user: { tokenFile } }));
      writeFileSync(path, stringify({ ...config, clusters, users }));
      return path;
    },
  });
  expect(new Set(rig.proxy.requests.map(({ token }) => token))).toEqual(new Set([first]));
  // The same name, another identity: tokens of the first one are nobody's. The server remembers them for some seconds.
  await cluster.kubectl(["delete", ...account.slice(2), ...account.slice(0, 2)]);
  await create();
  const isTaken = (): Promise<boolean> =>
    cluster.kubectl([`--token=${first}`, "get", "namespaces"]).then(
      () => true,
      () => false,
    );
  await vi.waitFor(async () => expect(await isTaken()).toBe(false), patient);
  const period = new FaultPeriod(rig);
  rig.proxy.resetAll();
  await rig.apply(`${virtualServiceOf(4)}\n---\n${serviceOf("extra", 94)}`);
  await vi.waitFor(() => expect(rig.findLogged(/401 Unauthorized/)).toBeDefined(), patient);
  await sleep(3000);
  // Nothing else to be had from the file yet: one request for each attempt, and rests between them.
  period.expectRequests(40);
  const second = await newToken();
  const renewed = new FaultPeriod(rig);
  writeFileSync(tokenFile, second);
  await rig.expectInvariants(/401 Unauthorized/);
  expect(renewed.watches("virtualservices").at(-1)?.token).toBe(second);
  period.expectLists(0);
  expect(JSON.stringify(rig.log)).not.toContain(first.slice(-40));
  await rig.remove("Service", "extra");
});

interface KubeconfigText {
  readonly clusters: readonly { readonly cluster: object }[];
  readonly users: readonly { readonly name: string }[];
}

/** Rights to read every kind but those. */
function roleWithout(...plurals: readonly string[]): string {
  const resources = [...Object.values<ResourceNames>(kubeResources), ...Object.values<ResourceNames>(istioResources)];
  const rules = resources
    .filter(({ plural }) => !plurals.includes(plural))
    .map(({ group, plural }) => ({ apiGroups: [group], resources: [plural], verbs: ["get", "list", "watch"] }));
  const metadata = { name: "partial" };
  return stringify({ apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata, rules });
}

test("I-10: one kind may not be read", { timeout: 120_000 }, async () => {
  const setRole = (role: string): Promise<string> => cluster.kubectl(["apply", "-f", "-"], role);
  await setRole(roleWithout("destinationrules"));
  await cluster.kubectl(["create", "-n", "istio-system", "serviceaccount", "partial"]);
  const binding = ["create", "clusterrolebinding", "partial", "--clusterrole=partial"];
  await cluster.kubectl([...binding, "--serviceaccount=istio-system:partial"]);
  await cluster.kubectl(["delete", "-n", "shop", "destinationrule", "catalog"]);
  const rig = await startRig({
    limits: { backoff: quickBackoff },
    kubeconfig: (url) => cluster.kubeconfigOf("istio-system", "partial", url),
  });
  const rules = (): number => rig.controlPlane.snapshot().destinationRules.length;
  expect(await readiness(rig)).toBe(200);
  const refusal = /DestinationRule may not be listed and watched.*its objects are not seen: RBAC must allow it/;
  await vi.waitFor(() => expect(rig.findLogged(refusal)).toBeDefined(), patient);
  // All others are live.
  await rig.apply(virtualServiceOf(5));
  await rig.expectConverged();
  await rig.apply(ruleOf("RANDOM"));
  await sleep(1500);
  expect(rules()).toBe(0);
  await setRole(roleWithout());
  await rig.expectConverged();
  expect(rules()).toBe(1);

  // Taken away while it runs: what is known stays.
  const period = new FaultPeriod(rig);
  await setRole(roleWithout("destinationrules"));
  // The server checks rights when a watch is opened.
  rig.proxy.endAnswers(destinationRules);
  const loss = /DestinationRule may not be listed and watched.*its last known objects stay/;
  await vi.waitFor(() => expect(rig.findLogged(loss)).toBeDefined(), patient);
  await rig.apply(`${virtualServiceOf(6)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.0.61"])}`);
  await rig.expectConverged();
  expect(rules()).toBe(1);
  expect(await readiness(rig)).toBe(200);
  await rig.apply(ruleOf("LEAST_REQUEST"));
  await setRole(roleWithout());
  await rig.expectInvariants(loss);
  await vi.waitFor(() => expect(rig.findLogged(/solved: DestinationRule may not/)).toBeDefined(), patient);
  period.expectLists(0);
  period.expectRequests(100);
  period.expectUntouched("destinationrules");
});

const crd = "destinationrules.networking.istio.io";

/** Makes the server serve the kind in these versions alone. */
async function installCrd(definition: CrdText, served: readonly string[]): Promise<void> {
  const versions = definition.spec.versions.map((version) => ({ ...version, served: served.includes(version.name) }));
  const { name } = definition.metadata;
  const text = JSON.stringify({ ...definition, metadata: { name }, spec: { ...definition.spec, versions } });
  await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], text);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", name]);
}

interface CrdText {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly versions: readonly { readonly name: string }[] };
}

test("I-11: a kind is missing, comes, goes, and comes back in another version", { timeout: 180_000 }, async () => {
  const definition = JSON.parse(await cluster.kubectl(["get", "crd", crd, "-o", "json"])) as CrdText;
  const remove = (): Promise<string> => cluster.kubectl(["delete", "crd", crd]);
  await remove();
  const rig = await startRig({ limits: { missingMs: 400, discoveryMs: 1500, backoff: quickBackoff } });
  const rules = (): readonly string[] =>
    rig.controlPlane.snapshot().destinationRules.map(({ spec }) => spec.trafficPolicy?.loadBalancer?.simple ?? "");
  expect(await readiness(rig)).toBe(200);
  await rig.apply(virtualServiceOf(2));
  await rig.expectConverged();
  const period = new FaultPeriod(rig);
  await installCrds(cluster);
  await rig.apply(ruleOf("RANDOM"));
  await rig.expectConverged();
  expect(rules()).toEqual(["RANDOM"]);

  // Gone with all its objects: nobody loses traffic by that.
  const before = rig.proxies.map((proxy) => ({ proxy, responses: proxy.count("cds") }));
  await remove();
  await vi.waitFor(
    () => expect(rig.findLogged(/DestinationRule is not served.*last known objects stay/)).toBeDefined(),
    patient,
  );
  await rig.apply(virtualServiceOf(3));
  const attempts = (): unknown =>
    rig.controlPlane.snapshot().virtualServices.find(({ object }) => object.meta.name === "cart")?.spec.http?.[0]
      ?.retries?.attempts;
  await vi.waitFor(() => expect(attempts()).toBe(3), patient);
  expect(rules()).toEqual(["RANDOM"]);
  for (const { proxy, responses } of before) expect(proxy.count("cds"), proxy.node.id).toBe(responses);

  // Back in an older version alone; its objects are those of the server now.
  await installCrd(definition, ["v1beta1"]);
  await cluster.kubectl(["apply", "-f", "-"], ruleOf("LEAST_REQUEST").replace("istio.io/v1", "istio.io/v1beta1"));
  await rig.expectConverged(20_000);
  expect(rules()).toEqual(["LEAST_REQUEST"]);
  expect(period.watches("destinationrules").at(-1)?.path).toContain("/v1beta1/");
  // And in the one that is preferred to it.
  await installCrd(definition, ["v1", "v1beta1"]);
  await vi.waitFor(() => expect(period.watches("destinationrules").at(-1)?.path).toBe(destinationRules), patient);
  await rig.apply(ruleOf("ROUND_ROBIN").replace("metadata: {name: catalog", "metadata: {name: second"));
  await rig.remove("DestinationRule", "catalog");
  await rig.expectInvariants(/DestinationRule is not served/);
  expect(rules()).toEqual(["ROUND_ROBIN"]);
  // The list of each version that it came back with, and those that met it half installed.
  expect(period.lists("destinationrules")).toBeLessThanOrEqual(8);
  period.expectUntouched("destinationrules");
  await rig.remove("DestinationRule", "second");
  await rig.expectConverged();
});

/** An object that means nothing to the mesh. */
function settingsOf(round: number): string {
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere, namespace: shop}
data: {round: "${round}"}`;
}

test("I-16: etcd is restored from a copy, and resource versions go back", { timeout: 180_000 }, async () => {
  await cluster.etcd.save();
  await vi.waitFor(() => cluster.kubectl(["get", "--raw", "/readyz"]), patient);
  const rig = await startRig();
  // A copy is from long ago: a server that starts over it does not write as much as that in the time until it is asked.
  for (let round = 0; round < 500; round++) await rig.apply(settingsOf(round));
  // What the copy does not know, in four kinds.
  await rig.apply(
    `${virtualServiceOf(9)}\n---\n${serviceOf("lost", 99)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.16.1"])}`,
  );
  await rig.remove("DestinationRule", "catalog");
  await rig.expectConverged();
  const before = rig.proxies.map((proxy) => proxy.state());
  const period = new FaultPeriod(rig);
  await cluster.apiServer.stop();
  await cluster.etcd.restore();
  await cluster.apiServer.start();
  await rig.expectConverged(20_000);
  for (const [index, proxy] of rig.proxies.entries()) expect(proxy.state()).not.toBe(before[index]);
  await rig.expectInvariants(/older than ours/);
  expect(period.lists("virtualservices")).toBe(1);
  period.expectLists(1);
  period.expectRequests(60);
  // It goes on from there.
  await reopen(rig, virtualServices);
  await rig.apply(`${virtualServiceOf(4)}\n---\n${sliceOf("cart", ["10.1.0.1", "10.1.16.2"])}`);
  await rig.expectConverged();
  period.expectLists(1);
});
