/** The validation webhook as an API server calls it: its authority, its configuration, and what users of kubectl see. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type AuthorityStore, createAuthorityStore } from "../../src/ca/authority-store.ts";
import { createServingCertificates, type ServingCertificates } from "../../src/ca/serving-certificates.ts";
import { startWebhookServer, type WebhookServer } from "../../src/http/webhook-server.ts";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { validateReview } from "../../src/webhook/validate-review.ts";
import { createWebhookReconciler, type WebhookReconciler } from "../../src/webhook/webhook-reconciler.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { buildConfig, buildOpenCrd, invalid, virtualService } from "./webhook-objects.ts";

const namespace = "istio-system";
const configName = "meltemi-validator";
const patient = { timeout: 20_000, interval: 100 };
const metrics = { count: () => undefined, observe: () => undefined };
let cluster: Cluster;
let client: KubeClient;

beforeAll(async () => {
  cluster = await startCluster();
  client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
  await cluster.kubectl(["create", "namespace", namespace]);
  await cluster.kubectl(["create", "namespace", "shop"]);
  const kinds = [
    ["networking.istio.io", "virtualservices", "VirtualService"],
    ["networking.istio.io", "gateways", "Gateway"],
    ["example.com", "gateways", "Gateway"],
  ] as const;
  await apply(...kinds.map(([group, plural, kind]) => buildOpenCrd(group, plural, kind)));
  const names = kinds.map(([group, plural]) => `crd/${plural}.${group}`);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", ...names]);
});
afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

const apply = (...objects: readonly object[]): Promise<string> =>
  cluster.kubectl(["apply", "-f", "-"], objects.map((object) => JSON.stringify(object)).join("\n---\n"));
const create = (object: object, ...args: readonly string[]): Promise<string> =>
  cluster.kubectl(["create", "-f", "-", ...args], JSON.stringify(object));

describe("the authority", () => {
  const createStore = (): AuthorityStore =>
    createAuthorityStore({ client, namespace, organization: "cluster.local", clock: systemClock, log: silentLog });
  const getSecret = async (name: string): Promise<{ type: string; data: Record<string, string> }> =>
    JSON.parse(await cluster.kubectl(["get", "secret", name, "-n", namespace, "-o", "json"]));
  afterEach(() =>
    cluster.kubectl(["delete", "secret", "istio-ca-secret", "cacerts", "-n", namespace, "--ignore-not-found"]),
  );

  test("is one for all replicas, in Istio's Secret", async () => {
    const loaded = await Promise.all([1, 2, 3, 4].map(() => createStore().load()));
    expect(new Set(loaded.map(({ roots }) => roots)).size).toBe(1);
    const { type, data } = await getSecret("istio-ca-secret");
    expect(type).toBe("istio.io/ca-root");
    expect(Buffer.from(data["ca-cert.pem"] ?? "", "base64").toString()).toBe(loaded[0]?.certificate);
    expect((await createStore().load()).certificate).toBe(loaded[0]?.certificate);
  });

  test("is the one that an operator plugs in, where there is one", async () => {
    const own = await createStore().load();
    await cluster.kubectl(["delete", "secret", "istio-ca-secret", "-n", namespace]);
    const other = await createStore().load();
    await cluster.kubectl([
      "create",
      "secret",
      "generic",
      "cacerts",
      `--namespace=${namespace}`,
      `--from-literal=ca-cert.pem=${own.certificate}`,
      `--from-literal=ca-key.pem=${own.privateKey.reveal()}`,
      `--from-literal=cert-chain.pem=${own.certificate}`,
      `--from-literal=root-cert.pem=${own.roots}`,
    ]);
    expect((await createStore().load()).certificate).toBe(own.certificate);
    expect(other.certificate).not.toBe(own.certificate);
  });

  test.each([
    ["istio-ca-secret", "ca-cert.pem", "lacks ca-key.pem"],
    ["istio-ca-secret", "ca-cert.pem,ca-key.pem", "holds no certificate"],
    ["cacerts", "ca-cert.pem,ca-key.pem", "lacks root-cert.pem"],
  ])("that is damaged is reported and left as it is: %s with %s", async (name, keys, reason) => {
    const literals = keys.split(",").map((key) => `--from-literal=${key}=nonsense`);
    await cluster.kubectl(["create", "secret", "generic", name, `--namespace=${namespace}`, ...literals]);
    const before = await getSecret(name);
    await expect(createStore().load()).rejects.toThrow(reason);
    expect(await getSecret(name)).toEqual(before);
  });

  test("that may not be read is no reason to make another", async () => {
    await cluster.kubectl(["create", "serviceaccount", "powerless", "-n", namespace]);
    const kubeconfig = await cluster.kubeconfigOf(namespace, "powerless");
    const powerless = await createKubeClient({ kubeconfig, clock: systemClock, log: silentLog });
    const store = createAuthorityStore({
      client: powerless,
      namespace,
      organization: "cluster.local",
      clock: systemClock,
      log: silentLog,
    });
    await expect(store.load()).rejects.toThrow("cacerts cannot be read");
    powerless.close();
  });
});

let server: WebhookServer;
let certificates: ServingCertificates;
let reconciler: WebhookReconciler;
let isReady = true;

/** Starts the webhook for the tests of a block, and a reconciler, not started yet, for each of them. */
function useWebhook(): void {
  beforeAll(async () => {
    const store = createAuthorityStore({ client, namespace, organization: "mesh", clock: systemClock, log: silentLog });
    const source = { kind: "authority", authority: await store.load(), names: ["127.0.0.1"] } as const;
    certificates = await createServingCertificates({ source, clock: systemClock, log: silentLog });
    server = await startWebhookServer({
      address: { host: "127.0.0.1", port: 0 },
      certificates,
      validate: (review) => validateReview(review, metrics),
      isReady: () => isReady,
      metrics,
      log: silentLog,
    });
  });
  beforeEach(async () => {
    isReady = true;
    await apply(buildConfig(configName, server.port));
    reconciler = createWebhookReconciler({
      client,
      selection: { names: [configName], revision: "default" },
      namespace,
      certificates,
      metrics,
      clock: systemClock,
      log: silentLog,
    });
  });
  afterEach(async () => {
    await reconciler.stop();
    await cluster.kubectl(["delete", "validatingwebhookconfigurations", "--all"]);
    await cluster.kubectl(["delete", "virtualservices,gateways.example.com", "--all", "-n", "shop", "--wait=false"]);
  });
  afterAll(async () => {
    certificates?.stop();
    await server?.stop();
  });
}

interface Stored {
  readonly webhooks: readonly {
    readonly failurePolicy: string;
    readonly clientConfig: { readonly caBundle?: string };
  }[];
}
const readConfig = async (name = configName): Promise<Stored> =>
  JSON.parse(await cluster.kubectl(["get", "validatingwebhookconfiguration", name, "-o", "json"]));
const policies = async (name?: string) => (await readConfig(name)).webhooks.map(({ failurePolicy }) => failurePolicy);
const bundles = async (name?: string) =>
  (await readConfig(name)).webhooks.map(({ clientConfig }) => clientConfig.caBundle);
const ownBundle = (): string => Buffer.from(certificates.current().roots).toString("base64");
const closed = (): Promise<void> => vi.waitFor(async () => expect(await policies()).toEqual(["Fail", "Fail"]), patient);

describe("an object", () => {
  useWebhook();

  test("an invalid object is refused with kind, name, field path and reason; a valid one is taken", async () => {
    reconciler.start();
    await closed();
    const refusal = expect(create(virtualService(invalid))).rejects;
    await refusal.toThrow(
      /admission webhook "validation\.istio\.io" denied the request: configuration is invalid: VirtualService shop\/reviews: spec\.http\[0\]\.route\[0\]\.destination\.host: /,
    );
    await create(virtualService());
    await expect(apply(virtualService(invalid))).rejects.toThrow("destination.host: ");
    await expect(create(virtualService(invalid, { generateName: "made-" }))).rejects.toThrow(
      "VirtualService shop/made-",
    );
    await create(virtualService({}, { generateName: "made-" }));
    await expect(create(virtualService(invalid, { name: "dry" }), "--dry-run=server")).rejects.toThrow("(dry run)");
  });

  test("objects of another revision's label are judged by their own webhook", async () => {
    reconciler.start();
    await closed();
    const labelled = virtualService(invalid, { name: "labelled", labels: { "istio.io/rev": "default" } });
    await expect(create(labelled)).rejects.toThrow('admission webhook "rev.validation.istio.io" denied');
    await create(virtualService(invalid, { name: "other", labels: { "istio.io/rev": "canary" } }));
  });

  test("warnings reach the user", async () => {
    reconciler.start();
    await closed();
    const path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";
    await create(virtualService({ hostss: ["a"] }, { name: "warned" }), "--validate=false");
    await expect(
      create(virtualService({ hostss: ["a"] }, { name: "warned2" }), "--warnings-as-errors"),
    ).rejects.toThrow('unknown field "hostss", did you mean "hosts"?');
    expect(await client.request({ path })).toBeDefined();
  });

  test("objects of other groups are never in question, also where nothing answers", async () => {
    reconciler.start();
    await closed();
    const foreign = {
      apiVersion: "example.com/v1",
      kind: "Gateway",
      metadata: { name: "foreign", namespace: "shop" },
      spec: {},
    };
    await create(foreign);
    isReady = false;
    await apply({ ...foreign, spec: { changed: true } });
    await cluster.kubectl(["create", "configmap", "other", "-n", "shop"]);
    await expect(create(virtualService({}, { name: "late" }))).rejects.toThrow("failed calling webhook");
  });

  test("an object on its way out loses its finalizers, though it is invalid", async () => {
    await create(virtualService(invalid, { name: "leaving", finalizers: ["example.com/wait"] }));
    reconciler.start();
    await closed();
    const patch = (value: object) =>
      cluster.kubectl([
        "patch",
        "virtualservice",
        "leaving",
        "-n",
        "shop",
        "--type=merge",
        "-p",
        JSON.stringify(value),
      ]);
    await expect(patch({ metadata: { labels: { a: "b" } } })).rejects.toThrow("configuration is invalid");
    await cluster.kubectl(["delete", "virtualservice", "leaving", "-n", "shop", "--wait=false"]);
    await patch({ metadata: { finalizers: null } });
    await expect(cluster.kubectl(["get", "virtualservice", "leaving", "-n", "shop"])).rejects.toThrow("not found");
  });
});

describe("the configuration of the webhook", () => {
  useWebhook();

  test("fails open until the API server reaches it, and closed from then on", async () => {
    isReady = false;
    reconciler.start();
    await vi.waitFor(async () => expect(await bundles()).toEqual([ownBundle(), ownBundle()]), patient);
    await create(virtualService(invalid, { name: "early" }));
    // Long enough for some self-tests.
    await sleep(1_500);
    expect(await policies()).toEqual(["Ignore", "Ignore"]);
    isReady = true;
    await closed();
    await expect(create(virtualService(invalid))).rejects.toThrow("configuration is invalid");
  });

  test("an emptied or edited bundle and an opened policy are put right", async () => {
    reconciler.start();
    await closed();
    const change = (patch: object): Promise<string> =>
      cluster.kubectl([
        "patch",
        "validatingwebhookconfiguration",
        configName,
        "--type=json",
        "-p",
        JSON.stringify([patch]),
      ]);
    await change({ op: "remove", path: "/webhooks/0/clientConfig/caBundle" });
    await vi.waitFor(async () => expect(await bundles()).toEqual([ownBundle(), ownBundle()]), patient);
    await change({ op: "replace", path: "/webhooks/1/clientConfig/caBundle", value: "" });
    await vi.waitFor(async () => expect(await bundles()).toEqual([ownBundle(), ownBundle()]), patient);
    await change({ op: "replace", path: "/webhooks/1/failurePolicy", value: "Ignore" });
    await closed();
    await cluster.kubectl(["delete", "validatingwebhookconfiguration", configName]);
    await apply(buildConfig(configName, server.port));
    await closed();
    await expect(create(virtualService(invalid))).rejects.toThrow("configuration is invalid");
  });

  test("is put right after the API server was away", async () => {
    reconciler.start();
    await closed();
    await cluster.apiServer.kill();
    await cluster.apiServer.start();
    const patch = '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]';
    await cluster.kubectl(["patch", "validatingwebhookconfiguration", configName, "--type=json", "-p", patch]);
    await vi.waitFor(async () => expect(await bundles()).toEqual([ownBundle(), ownBundle()]), patient);
  });

  test("others' configurations are left as they are", async () => {
    await apply(buildConfig("others", server.port));
    reconciler.start();
    await closed();
    expect(await policies("others")).toEqual(["Ignore", "Ignore"]);
    expect(await bundles("others")).toEqual([undefined, undefined]);
  });

  test("two that run at once agree, and nothing is asked any more after the stop", async () => {
    const second = createWebhookReconciler({
      client,
      selection: { names: [], revision: "default" },
      namespace,
      certificates,
      metrics,
      clock: systemClock,
      log: silentLog,
    });
    reconciler.start();
    second.start();
    await closed();
    await Promise.all([reconciler.stop(), second.stop()]);
    const patch = '[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]';
    await cluster.kubectl(["patch", "validatingwebhookconfiguration", configName, "--type=json", "-p", patch]);
    await sleep(1_000);
    expect((await bundles())[0]).toBeUndefined();
  });
});
