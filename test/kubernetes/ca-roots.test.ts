/** The roots of the mesh in the namespaces of a real API server, and their rotation through Istio's Secret. */
import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { listRoots } from "../../src/ca/trust-bundle.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { createKeptLog } from "../support/secure-mesh.ts";

const namespace = "istio-system";
const patient = { timeout: 60_000, interval: 200 };
const { log, lines } = createKeptLog();
let cluster: Cluster;
let controlPlane: ControlPlane;

const startReplica = (): Promise<ControlPlane> =>
  startTestControlPlane({
    log,
    options: {
      kubeconfig: cluster.kubeconfig,
      httpsAddr: "127.0.0.1:0",
      secureGrpcAddr: "127.0.0.1:0",
      validationWebhookConfigName: "none",
      injectionWebhookConfigName: "none",
      leaderElection: "false",
      writeStatus: "false",
      rootOverlap: "1s",
      rootCheckInterval: "2s",
    },
  });

beforeAll(async () => {
  cluster = await startCluster();
  for (const name of [namespace, "shop", "local-path-storage"]) await cluster.kubectl(["create", "namespace", name]);
  controlPlane = await startReplica();
}, 120_000);

afterAll(async () => {
  await controlPlane?.stop();
  await cluster?.stop();
});

interface Found {
  readonly metadata: { readonly namespace: string; readonly labels?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

async function listConfigMaps(name: string): Promise<readonly Found[]> {
  const words = ["get", "configmaps", "--all-namespaces", "--field-selector", `metadata.name=${name}`, "-o", "json"];
  const { items }: { readonly items: readonly Found[] } = JSON.parse(await cluster.kubectl(words));
  return items;
}

async function rootsIn(place: string): Promise<string> {
  const items = await listConfigMaps("istio-ca-root-cert");
  return items.find(({ metadata }) => metadata.namespace === place)?.data?.["root-cert.pem"] ?? "";
}

async function readSecret(): Promise<ReadonlyMap<string, string>> {
  const secret = JSON.parse(await cluster.kubectl(["get", "secret", "istio-ca-secret", "-n", namespace, "-o", "json"]));
  const entries = Object.entries<string>(secret.data);
  return new Map(entries.map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
}

const fingerprintsOf = (bundle: string): readonly string[] =>
  bundle === "" ? [] : listRoots(bundle).map(({ fingerprint256 }) => fingerprint256);

describe("the ConfigMap of roots", () => {
  test("is in every namespace but those of Kubernetes in which nothing of the mesh runs", async () => {
    await vi.waitFor(async () => {
      const found = await listConfigMaps("istio-ca-root-cert");
      const places = found.map(({ metadata }) => metadata.namespace).sort();
      expect(places).toEqual(["default", "istio-system", "kube-system", "shop"]);
    }, patient);
    const secret = await readSecret();
    for (const { metadata, data } of await listConfigMaps("istio-ca-root-cert")) {
      expect(metadata.labels).toEqual({ "istio.io/config": "true" });
      expect(data).toEqual({ "root-cert.pem": secret.get("ca-cert.pem") });
    }
    // Nobody revoked anything.
    expect(await listConfigMaps("istio-ca-crl")).toEqual([]);
  });

  test("is put right where it is edited or deleted, and made in a new namespace", async () => {
    const right = await rootsIn("shop");
    const patch = JSON.stringify({ data: { "root-cert.pem": "mine", other: "kept" }, metadata: { labels: null } });
    await cluster.kubectl(["patch", "configmap", "istio-ca-root-cert", "-n", "shop", "--type=merge", "-p", patch]);
    await cluster.kubectl(["delete", "configmap", "istio-ca-root-cert", "-n", "default"]);
    await cluster.kubectl(["create", "namespace", "bank"]);
    await vi.waitFor(async () => {
      const found = await Promise.all(["shop", "default", "bank"].map(rootsIn));
      expect(found).toEqual([right, right, right]);
    }, patient);
    const shop = (await listConfigMaps("istio-ca-root-cert")).find(({ metadata }) => metadata.namespace === "shop");
    expect(shop?.data?.["other"]).toBe("kept");
    expect(shop?.metadata.labels).toEqual({ "istio.io/config": "true" });
  });
});

test("CA-24 a rotation distributes the next root, signs below it only then, and survives a restart", async () => {
  const before = await readSecret();
  const [first] = fingerprintsOf(before.get("root-cert.pem") ?? "");
  const annotation = "meltemi.dev/rotate-root=now";
  await cluster.kubectl(["annotate", "secret", "istio-ca-secret", "-n", namespace, annotation]);
  // The next root is in the Secret and in no certificate; another process takes over in the middle of it.
  await vi.waitFor(async () => expect((await readSecret()).has("next-ca-cert.pem")).toBe(true), {
    ...patient,
    timeout: 90_000,
  });
  const staged = await readSecret();
  const [, second] = fingerprintsOf(staged.get("root-cert.pem") ?? "");
  expect(staged.get("ca-cert.pem")).toBe(before.get("ca-cert.pem"));
  await controlPlane.stop();
  controlPlane = await startReplica();
  let wasDistributed = false;
  await vi.waitFor(async () => {
    // In this order: what the ConfigMaps say was there before what the Secret says is looked at.
    const inShop = fingerprintsOf(await rootsIn("shop"));
    const secret = await readSecret();
    if (!secret.has("next-ca-cert.pem")) {
      expect(new X509Certificate(secret.get("ca-cert.pem") ?? "").fingerprint256).toBe(second);
      expect(wasDistributed || inShop.includes(second ?? "")).toBe(true);
      return;
    }
    wasDistributed ||= inShop.includes(second ?? "");
    throw new Error("the next root does not sign yet");
  }, patient);
  await vi.waitFor(async () => expect(fingerprintsOf(await rootsIn("shop"))).toEqual([second, first]), patient);
  const { type, metadata } = JSON.parse(
    await cluster.kubectl(["get", "secret", "istio-ca-secret", "-n", namespace, "-o", "json"]),
  );
  expect(type).toBe("istio.io/ca-root");
  expect(metadata.annotations ?? {}).toEqual({});
}, 240_000);

test("CA-22 no key of the authority is in a log", async () => {
  const secret = await readSecret();
  const bodies = [...secret.values()]
    .filter((text) => text.includes("PRIVATE KEY"))
    .map((pem) => pem.split("\n")[1] ?? "");
  expect(bodies.length).toBeGreaterThan(0);
  const text = JSON.stringify(lines);
  expect(text).toContain("certificate authority");
  for (const body of bodies) expect(text.includes(body)).toBe(false);
  expect(text.includes("PRIVATE KEY")).toBe(false);
});
