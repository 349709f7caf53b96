/** xDS over TLS beside a real API server: its word on tokens, its word on rights, and its Secrets. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { createKeptLog, gatewayNode, tlsSecret } from "../support/secure-mesh.ts";
import { type Received, XdsClient, type XdsStream } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const sds = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const [permissionDenied, unauthenticated] = [7, 16];
const patient = { timeout: 20_000, interval: 100 };
const { log, lines } = createKeptLog();
let cluster: Cluster;
let controlPlane: ControlPlane;
let roots = "";

const apply = (...objects: readonly object[]): Promise<string> =>
  cluster.kubectl(["apply", "-f", "-"], objects.map((object) => JSON.stringify(object)).join("\n---\n"));

const account = (namespace: string, name: string) => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { namespace, name },
});

/** The right that a gateway needs: to list the secrets of its namespace. */
const readerOf = (namespace: string, name: string) => [
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { namespace, name: "secrets" },
    rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get", "list", "watch"] }],
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { namespace, name: "secrets" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "secrets" },
    subjects: [{ kind: "ServiceAccount", namespace, name }],
  },
];

beforeAll(async () => {
  cluster = await startCluster();
  for (const name of ["istio-system", "shop", "bank"]) await cluster.kubectl(["create", "namespace", name]);
  await apply(
    account("shop", "gateway"),
    account("shop", "plain"),
    account("shop", "leaver"),
    account("bank", "gateway"),
  );
  await apply(...readerOf("shop", "gateway"), ...readerOf("bank", "gateway"));
  controlPlane = await startTestControlPlane({
    log,
    limits: { debounceQuietMs: 0 },
    options: {
      kubeconfig: cluster.kubeconfig,
      secureGrpcAddr: "127.0.0.1:0",
      httpsAddr: "127.0.0.1:0",
      secretNamespaces: "shop",
      validationWebhookConfigName: "none",
      leaderElection: "false",
      writeStatus: "false",
    },
  });
  const path = "jsonpath={.data.root-cert\\.pem}";
  const encoded = await cluster.kubectl(["get", "secret", "istio-ca-secret", "-n", "istio-system", "-o", path]);
  roots = Buffer.from(encoded, "base64").toString();
}, 120_000);

afterAll(async () => {
  await controlPlane?.stop();
  await cluster?.stop();
});

async function tokenOf(namespace: string, name: string, audience = "istio-ca"): Promise<string> {
  const words = ["create", "token", name, "--namespace", namespace, "--duration", "10m"];
  return (await cluster.kubectl([...words, "--audience", audience])).trim();
}

function connect(token: string, headers: Readonly<Record<string, string>> = {}): XdsClient {
  const client = new XdsClient(controlPlane.secureGrpcAddress(), { roots, token, headers });
  onTestFinished(() => client.close());
  return client;
}

/** How a stream of gateway shop/gateway with a token ends; 0 where it is served. */
async function statusFor(token: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const stream = connect(token, headers).open("sotw");
  stream.send({ node: gatewayNode("shop", "gateway"), type_url: typeUrls.cds });
  return await Promise.race([stream.ended.then(({ code }) => code), stream.next().then(() => 0)]);
}

function ask(stream: XdsStream<"delta">, account: readonly [string, string], names: readonly string[]): void {
  stream.send({ node: gatewayNode(...account), type_url: sds, resource_names_subscribe: names });
}

const textOf = ({ resources }: Received): string =>
  resources.map(({ bytes }) => Buffer.from(bytes).toString("latin1")).join("\n");

test("a token for us proves its account, and nothing else does", async () => {
  const node = gatewayNode("shop", "gateway");
  const good = await tokenOf("shop", "gateway");
  const stream = connect(good).open("sotw");
  stream.send({ node, type_url: typeUrls.cds });
  expect((await stream.next()).typeUrl).toBe(typeUrls.cds);

  const [payload, signature] = [good.split(".")[1] ?? "", good.split(".")[2] ?? ""];
  const leaving = await tokenOf("shop", "leaver");
  await cluster.kubectl(["delete", "serviceaccount", "leaver", "--namespace", "shop"]);
  const wrong: Readonly<Record<string, string>> = {
    "for the API server": await tokenOf("shop", "gateway", "kubernetes.default.svc"),
    "for somebody else": await tokenOf("shop", "gateway", "vault"),
    "without its signature": `${good.split(".")[0]}.${payload}.x`,
    "with alg none": `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.${signature}`,
    "that is none": "token",
    "of an account that is gone": leaving,
  };
  for (const [what, token] of Object.entries(wrong)) {
    // The API server itself hears of deleted accounts a moment later.
    await vi.waitFor(async () => expect([what, await statusFor(token)]).toEqual([what, unauthenticated]), patient);
  }
  expect(await statusFor(good, { clusterid: "other" })).toBe(unauthenticated);
  const all = lines.join("\n");
  for (const token of [good, ...Object.values(wrong)]) expect(token === "token" || !all.includes(token)).toBe(true);

  const other = connect(good).open("sotw");
  other.send({ node: gatewayNode("bank", "gateway"), type_url: typeUrls.cds });
  expect((await other.ended).code).toBe(permissionDenied);
});

test("a secret is for accounts that may list secrets, its authority for all of the namespace", async () => {
  const secret = await tlsSecret("shop", "web");
  await apply(secret.object);
  await vi.waitFor(() => expect(isKnown("shop", "web")).toBe(true), patient);
  const names = ["kubernetes://web", "kubernetes://web-cacert"];
  const plain = connect(await tokenOf("shop", "plain")).open("delta");
  ask(plain, ["shop", "plain"], names);
  const answer = await plain.next();
  expect([answer.names, answer.removed]).toEqual([["kubernetes://web-cacert"], ["kubernetes://web"]]);
  expect(lines.some((line) => line.includes("service account shop/plain may not list secrets"))).toBe(true);

  const gateway = connect(await tokenOf("shop", "gateway")).open("delta");
  ask(gateway, ["shop", "gateway"], names);
  const first = await gateway.next();
  expect([...first.names].sort()).toEqual([...names].sort());
  expect(textOf(first)).toContain(secret.key);
  gateway.send({ type_url: sds, response_nonce: first.nonce });

  const next = await tlsSecret("shop", "web");
  await apply(next.object);
  const second = await gateway.next();
  expect(second.names).toEqual(["kubernetes://web"]);
  expect(textOf(second)).toContain(next.key);
  await sleep(200);
  expect(plain.untaken).toBe(0);
});

test("secrets of namespaces that nobody named are not even read", async () => {
  const secret = await tlsSecret("bank", "web");
  await apply(secret.object);
  const stream = connect(await tokenOf("bank", "gateway")).open("delta");
  ask(stream, ["bank", "gateway"], ["kubernetes://web", "kubernetes://shop/web"]);
  const answer = await stream.next();
  expect([answer.names, answer.removed.length]).toEqual([[], 2]);
  expect(isKnown("bank", "web")).toBe(false);
});

test("certificates of authorities come from ConfigMaps of those namespaces, too", async () => {
  const { roots: authority } = await tlsSecret("shop", "x");
  await apply({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: "shop", name: "partners" },
    data: { "ca.crt": authority },
  });
  const stream = connect(await tokenOf("bank", "gateway")).open("delta");
  const name = "configmap://shop/partners-cacert";
  await vi.waitFor(
    () => expect(controlPlane.snapshot().findObject("ConfigMap", "shop", "partners")).toBeDefined(),
    patient,
  );
  ask(stream, ["bank", "gateway"], [name]);
  expect((await stream.next()).names).toEqual([name]);
});

/** Whether the mesh has a credential of that name, without a look into it. */
function isKnown(namespace: string, name: string): boolean {
  const resourceName = `kubernetes://${namespace}/${name}`;
  const { credentials } = controlPlane.snapshot();
  const reference = { resourceName, kind: "secret", namespace, name, plainName: name, isRoots: false } as const;
  return credentials.findFault(reference) === undefined;
}
