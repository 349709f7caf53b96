/** Injection as an API server asks for it: which pods, by which webhook, and what happens where nobody answers. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createRootAuthority } from "../../src/ca/authority.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { type Values, valueAt } from "./chart-rendering.ts";
import { createNamespaces, type Injector, startInjector, systemNamespace } from "./injection-rig.ts";

const patient = { timeout: 20_000, interval: 100 };
let cluster: Cluster;
let injector: Injector;

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly restartPolicy?: string;
}
interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly containers: readonly Container[]; readonly initContainers?: readonly Container[] };
}

/** With the service account that the API server fills in before it asks webhooks; it is told not to, here. */
const buildPod = (namespace: string, metadata: object = {}, spec: object = {}): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace, ...metadata },
  spec: { serviceAccountName: "default", containers: [{ name: "web", image: "web:1" }], ...spec },
});

/** What the API server makes of a pod; nothing stays. */
async function tryCreate(pod: object): Promise<Pod> {
  const args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
  return JSON.parse(await cluster.kubectl(args, JSON.stringify(pod))) as Pod;
}
const namesOf = ({ spec }: Pod): readonly string[] =>
  [...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name);
const isInjected = async (pod: object): Promise<boolean> => namesOf(await tryCreate(pod)).includes("istio-proxy");

async function readWebhooks(name = injector.name): Promise<readonly Values[]> {
  const text = await cluster.kubectl(["get", "mutatingwebhookconfiguration", name, "-o", "json"]);
  return valueAt(JSON.parse(text), "webhooks") as readonly Values[];
}
const bundlesOf = async (name?: string): Promise<ReadonlySet<unknown>> =>
  new Set((await readWebhooks(name)).map((webhook) => valueAt(webhook, "clientConfig.caBundle")));

/** Requests about pods that the control plane has answered. */
async function countRequests(): Promise<number> {
  const page = await fetch(`http://127.0.0.1:${injector.controlPlane.monitoringPort}/metrics`);
  return Number(/^sidecar_injection_requests_total (\d+)$/m.exec(await page.text())?.[1] ?? 0);
}

/** Until the API server trusts the control plane and knows the namespaces. */
const untilInjected = (namespace: string, metadata: object = {}): Promise<void> =>
  vi.waitFor(async () => expect(await isInjected(buildPod(namespace, metadata))).toBe(true), patient);

beforeAll(async () => {
  cluster = await startCluster();
  await createNamespaces(cluster, {
    [systemNamespace]: {},
    shop: { "istio-injection": "enabled" },
    plain: {},
    off: { "istio-injection": "disabled" },
    ofdefault: { "istio.io/rev": "default" },
    ofnext: { "istio.io/rev": "next" },
    both: { "istio-injection": "enabled", "istio.io/rev": "next" },
  });
  await cluster.kubectl(["label", "namespace", "kube-system", "istio-injection=enabled"]);
  injector = await startInjector({ cluster });
  await untilInjected("shop");
}, 120_000);
afterAll(async () => {
  await injector?.controlPlane.stop();
  await cluster?.stop();
});

describe("a pod", () => {
  const asking = { labels: { "sidecar.istio.io/inject": "true" } };
  const refusing = { labels: { "sidecar.istio.io/inject": "false" } };
  test.each<[string, boolean, string, object, object]>([
    ["of a namespace that is labelled", true, "shop", {}, {}],
    ["of a namespace of our revision", true, "ofdefault", {}, {}],
    ["that refuses", false, "shop", refusing, {}],
    ["that refuses by annotation", false, "shop", { annotations: { "sidecar.istio.io/inject": "false" } }, {}],
    ["of a namespace without labels", false, "plain", {}, {}],
    ["that asks, in a namespace without labels", true, "plain", asking, {}],
    [
      "that names our revision, in a namespace without labels",
      true,
      "plain",
      { labels: { "istio.io/rev": "default" } },
      {},
    ],
    ["that names another revision", false, "plain", { labels: { "istio.io/rev": "next" } }, {}],
    ["that asks, in a namespace that refuses", false, "off", asking, {}],
    ["of a namespace of another revision", false, "ofnext", {}, {}],
    ["of a namespace with both labels", true, "both", {}, {}],
    ["on the network of its host", false, "shop", {}, { hostNetwork: true }],
    ["of the system", false, "kube-system", {}, {}],
    ["of the system that asks", false, "kube-system", asking, {}],
  ])("%s: %s", async (_case, expected, namespace, metadata, spec) => {
    expect(await isInjected(buildPod(namespace, metadata, spec))).toBe(expected);
  });

  test("has the image, the address of the authority and the resources of the chart", async () => {
    const pod = await tryCreate(buildPod("shop"));
    const proxy = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].find(
      ({ name }) => name === "istio-proxy",
    );
    expect(proxy).toMatchObject({
      image: "docker.io/library/meltemi-proxy:0.1.0",
      resources: { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "100m", memory: "128Mi" } },
    });
    expect(valueAt(proxy, "env")).toContainEqual({ name: "CA_ADDR", value: "meltemi.istio-system.svc:15012" });
    expect(pod.metadata.annotations).toMatchObject({ "istio.io/rev": "default" });
  });

  test("that a ReplicaSet makes belongs to its Deployment", async () => {
    const owner = {
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "web-5d8f",
      uid: "11111111-2222-3333-4444-555555555555",
    };
    const metadata = {
      name: undefined,
      generateName: "web-5d8f-",
      labels: { app: "web", "pod-template-hash": "5d8f" },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
    };
    const pod = await tryCreate(buildPod("shop", metadata));
    expect(pod.metadata.name).toMatch(/^web-5d8f-\w{5}$/);
    expect(JSON.stringify(pod)).toContain("kubernetes://apis/apps/v1/namespaces/shop/deployments/web");
  });

  test("that cannot be injected is refused with its name, the field and the reason", async () => {
    const annotations = { "sidecar.istio.io/proxyCPU": "much", "traffic.sidecar.istio.io/includeInboundPorts": "http" };
    await expect(tryCreate(buildPod("shop", { annotations }))).rejects.toThrow(
      /admission webhook "namespace\.sidecar-injector\.istio\.io" denied the request: cannot inject Pod shop\/web: .*includeInboundPorts.*proxyCPU/,
    );
  });

  test("is injected by the node that it is bound to", async () => {
    const node = { apiVersion: "v1", kind: "Node", metadata: { name: "old" } };
    await cluster.kubectl(["create", "-f", "-"], JSON.stringify(node));
    const status = JSON.stringify({ status: { nodeInfo: { kubeletVersion: "v1.32.4" } } });
    await cluster.kubectl(["patch", "node", "old", "--subresource=status", "--type=merge", "-p", status]);
    await vi.waitFor(async () => {
      const pod = await tryCreate(buildPod("shop", {}, { nodeName: "old" }));
      expect(pod.spec.containers.map(({ name }) => name)).toContain("istio-proxy");
    }, patient);
    await cluster.kubectl(["delete", "node", "old"]);
    await vi.waitFor(async () => {
      const { initContainers = [] } = (await tryCreate(buildPod("shop"))).spec;
      expect(initContainers).toContainEqual(expect.objectContaining({ name: "istio-proxy", restartPolicy: "Always" }));
    }, patient);
  });
});

test("a Deployment is stored as it was written", async () => {
  const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1" }] } };
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "shop" },
    spec: { selector: { matchLabels: { app: "web" } }, template },
  };
  const stored = await cluster.kubectl(["apply", "--server-side", "-o", "json", "-f", "-"], JSON.stringify(deployment));
  expect(stored).not.toContain("istio-proxy");
  await cluster.kubectl(["delete", "deployment", "web", "-n", "shop"]);
});

describe("the settings", () => {
  test("count from their change on, and the last good ones stay where new ones are broken", async () => {
    await injector.install({ proxy: { image: { tag: "next" } } });
    const hasTag = async (tag: string): Promise<void> =>
      vi.waitFor(async () => {
        expect(JSON.stringify(await tryCreate(buildPod("shop")))).toContain(`meltemi-proxy:${tag}"`);
      }, patient);
    await hasTag("next");
    const patch = JSON.stringify({ data: { config: "policy: [" } });
    await cluster.kubectl(["patch", "configmap", injector.name, "-n", systemNamespace, "--type=merge", "-p", patch]);
    await vi.waitFor(async () => {
      const url = `http://127.0.0.1:${injector.controlPlane.monitoringPort}/metrics`;
      const metric =
        /^pilot_total_rejected_configs\{type="ConfigMap",name="istio-system\/istio-sidecar-injector"\} 1$/m;
      expect(await (await fetch(url)).text()).toMatch(metric);
    }, patient);
    expect(await isInjected(buildPod("shop"))).toBe(true);
    await injector.install();
    await hasTag("0.1.0");
  });

  test("may have the API server ask again: what was injected stays as it is", async () => {
    await injector.install({ injection: { reinvocationPolicy: "IfNeeded" } });
    await vi.waitFor(async () => expect((await bundlesOf()).has(undefined)).toBe(false), patient);
    const once = await tryCreate(buildPod("shop"));
    const { uid: _, creationTimestamp: __, ...metadata } = once.metadata as Pod["metadata"] & Record<string, unknown>;
    const twice = await tryCreate({ ...once, metadata, status: undefined });
    expect(twice.spec).toEqual(once.spec);
    expect(twice.metadata.annotations).toEqual(once.metadata.annotations);
    expect(twice.metadata.labels).toEqual(once.metadata.labels);
    // One more configuration with the same webhooks: each pod is asked about twice before it is created.
    const second = { webhooks: await readWebhooks(), metadata: { name: "zz-second" } };
    const kind = { apiVersion: "admissionregistration.k8s.io/v1", kind: "MutatingWebhookConfiguration" };
    await cluster.kubectl(["create", "-f", "-"], JSON.stringify({ ...kind, ...second }));
    const before = await countRequests();
    await vi.waitFor(async () => {
      const { metadata: asked, spec } = await tryCreate(buildPod("shop"));
      expect([spec, asked.annotations]).toEqual([once.spec, once.metadata.annotations]);
      // The API server takes a moment until it knows of a new configuration.
      expect((await countRequests()) - before).toBeGreaterThan(3);
    }, patient);
    await cluster.kubectl(["delete", "mutatingwebhookconfiguration", "zz-second"]);
    await injector.install();
  });
});

test("CA-26 an emptied or edited bundle of the injector is put right, and pods are injected again", async () => {
  await vi.waitFor(async () => expect((await bundlesOf()).has(undefined)).toBe(false), patient);
  const before = await bundlesOf();
  expect(before.size).toBe(1);
  const { certificate } = await createRootAuthority({
    organization: "other",
    lifetimeMs: 3_600_000,
    nowMs: Date.now(),
  });
  const value = Buffer.from(certificate).toString("base64");
  for (const change of [{ op: "remove" }, { op: "replace", value }]) {
    const patch = JSON.stringify([{ ...change, path: "/webhooks/0/clientConfig/caBundle" }]);
    await cluster.kubectl(["patch", "mutatingwebhookconfiguration", injector.name, "--type=json", "-p", patch]);
    await vi.waitFor(async () => expect(await bundlesOf()).toEqual(before), patient);
  }
  await untilInjected("shop");
  const policies = (await readWebhooks()).map(({ failurePolicy }) => failurePolicy);
  expect(new Set(policies)).toEqual(new Set(["Fail"]));
});

describe("the configuration of the webhooks", () => {
  test("fails closed where nobody answers, and for nobody else", async () => {
    // A port of this machine that nobody listens on: it was the control plane's of a moment ago.
    const other = await startInjector({ cluster, revision: "gone" });
    const port = other.controlPlane.webhookPort;
    await other.controlPlane.stop();
    await cluster.kubectl(["delete", "mutatingwebhookconfiguration", other.name]);
    await injector.install({}, port);
    await vi.waitFor(
      () => expect(tryCreate(buildPod("shop"))).rejects.toThrow(/failed calling webhook "namespace\.sidecar-injector/),
      patient,
    );
    expect(await isInjected(buildPod("plain"))).toBe(false);
    expect(await isInjected(buildPod("kube-system"))).toBe(false);
    await injector.install();
    await untilInjected("shop");
  });
});

test("two revisions stand side by side, each with its own namespaces", async () => {
  const next = await startInjector({ cluster, revision: "next", values: { proxy: { image: { tag: "next" } } } });
  try {
    await untilInjected("ofnext");
    expect(JSON.stringify(await tryCreate(buildPod("ofnext")))).toContain("meltemi-proxy:next");
    expect((await tryCreate(buildPod("ofnext"))).metadata.annotations).toMatchObject({ "istio.io/rev": "next" });
    expect(JSON.stringify(await tryCreate(buildPod("plain", { labels: { "istio.io/rev": "next" } })))).toContain(
      "meltemi-proxy:next",
    );
    // The older label wins, as in Istio.
    for (const namespace of ["shop", "both"])
      expect(JSON.stringify(await tryCreate(buildPod(namespace)))).toContain("meltemi-proxy:0.1.0");
    expect(await bundlesOf(next.name)).toEqual(await bundlesOf());
  } finally {
    await next.controlPlane.stop();
    await cluster.kubectl(["delete", "mutatingwebhookconfiguration", next.name]);
  }
});
