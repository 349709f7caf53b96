/**
 * A client of another hand gets a certificate with a token of a real API server, and none with any other: openssl makes
 * key and request and checks the certificate, Python's gRPC calls.
 */
import { execFile } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { type PythonWithGrpc, pythonWithGrpc } from "../../tools/python/grpc.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { createKeptLog } from "../support/secure-mesh.ts";

interface ClientCall {
  readonly token?: string;
  readonly seconds?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

interface ClientAnswer {
  readonly code: string;
  readonly details: string;
  readonly chain: readonly string[];
}

const run = promisify(execFile);
const script = join(import.meta.dirname, "independent_client.py");
// What was said of a token holds for a minute, should it have been asked about too early.
const patient = { timeout: 100_000, interval: 2000 };
const folder = mkdtempSync(join(tmpdir(), "meltemi-client-"));
const { log, lines } = createKeptLog();
let cluster: Cluster;
let controlPlane: ControlPlane;
let client: PythonWithGrpc;
let roots = "";

const apply = (...objects: readonly object[]): Promise<string> =>
  cluster.kubectl(["apply", "-f", "-"], objects.map((object) => JSON.stringify(object)).join("\n---\n"));
const account = (namespace: string, name: string) => ({
  ...{ apiVersion: "v1", kind: "ServiceAccount" },
  metadata: { namespace, name },
});
const pod = (namespace: string, name: string, serviceAccountName: string, nodeName: string) => ({
  ...{ apiVersion: "v1", kind: "Pod" },
  metadata: { namespace, name },
  spec: { serviceAccountName, nodeName, containers: [{ name: "app", image: "app" }] },
});

beforeAll(async () => {
  client = await pythonWithGrpc();
  cluster = await startCluster();
  for (const name of ["istio-system", "shop"]) await cluster.kubectl(["create", "namespace", name]);
  await apply(
    ...[account("shop", "cart"), account("shop", "leaver"), account("istio-system", "ztunnel")],
    ...[pod("shop", "cart-1", "cart", "node-1"), pod("shop", "cart-2", "cart", "node-1")],
    ...[pod("istio-system", "zt-1", "ztunnel", "node-1"), pod("istio-system", "zt-2", "ztunnel", "node-2")],
  );
  controlPlane = await startTestControlPlane({
    log,
    options: {
      ...{ kubeconfig: cluster.kubeconfig, secureGrpcAddr: "127.0.0.1:0", httpsAddr: "127.0.0.1:0" },
      ...{ validationWebhookConfigName: "none", leaderElection: "false", writeStatus: "false" },
      trustedNodeAccounts: "istio-system/ztunnel",
    },
  });
  // As every pod has it: the ConfigMap that is distributed to the namespaces.
  const path = "jsonpath={.data.root-cert\\.pem}";
  const words = ["get", "configmap", "istio-ca-root-cert", "-n", "shop", "--ignore-not-found", "-o", path];
  await vi.waitFor(
    async () => {
      roots = await cluster.kubectl(words);
      expect(roots).toContain("BEGIN CERTIFICATE");
    },
    { timeout: 60_000, interval: 200 },
  );
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/O=somebody", "-addext", "subjectAltName=URI:spiffe://cluster.local/ns/x/sa/y"];
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "request.pem")];
  await run("openssl", ["req", "-new", ...curve, ...subject, ...files]);
}, 240_000);

afterAll(async () => {
  await controlPlane?.stop();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function callAll(calls: readonly ClientCall[]): Promise<readonly ClientAnswer[]> {
  const csr = readFileSync(join(folder, "request.pem"), "utf8");
  const order = { target: controlPlane.secureGrpcAddress(), roots, calls: calls.map((call) => ({ csr, ...call })) };
  const env = { ...process.env, PYTHONPATH: client.packages, GRPC_VERBOSITY: "NONE" };
  const running = run(client.python, [script], { env, timeout: 90_000, maxBuffer: 16 * 1024 * 1024 });
  running.child.stdin?.end(JSON.stringify(order));
  return JSON.parse((await running).stdout) as readonly ClientAnswer[];
}

async function call(only: ClientCall): Promise<ClientAnswer> {
  const [answer] = await callAll([only]);
  if (answer === undefined) throw new Error("the client said nothing");
  return answer;
}

async function tokenOf(
  name: string,
  { audience = "istio-ca", namespace = "shop", podName = "" } = {},
): Promise<string> {
  const bound = podName === "" ? [] : ["--bound-object-kind", "Pod", "--bound-object-name", podName];
  const words = ["create", "token", name, "--namespace", namespace, "--duration", "10m", "--audience", audience];
  return (await cluster.kubectl([...words, ...bound])).trim();
}

/** A token as the API server would sign it, with claims of the test's. */
async function forge(claims: object, key?: KeyObject): Promise<string> {
  const own = createPrivateKey(readFileSync(join(cluster.folder, "service-account.key")));
  const uid = await cluster.kubectl(["get", "serviceaccount", "cart", "-n", "shop", "-o", "jsonpath={.metadata.uid}"]);
  const now = Math.floor(Date.now() / 1000);
  const payload = {
    ...{ iss: "https://kubernetes.default.svc", sub: "system:serviceaccount:shop:cart", aud: ["istio-ca"] },
    ...{ iat: now - 1200, nbf: now - 1200, exp: now + 600 },
    "kubernetes.io": { namespace: "shop", serviceaccount: { name: "cart", uid } },
    ...claims,
  };
  const parts = [{ alg: "RS256" }, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  return [...parts, sign("sha256", Buffer.from(parts.join(".")), key ?? own).toString("base64url")].join(".");
}

test("with a projected token it gets a certificate that openssl verifies", async () => {
  const { code, chain } = await call({ token: await tokenOf("cart", { podName: "cart-1" }), seconds: 3600 });
  expect([code, chain.length]).toEqual(["OK", 2]);
  const [leaf = "", root] = chain;
  expect(root).toBe(roots);
  const [leafFile, rootFile] = [join(folder, "leaf.pem"), join(folder, "root.pem")];
  writeFileSync(leafFile, leaf);
  writeFileSync(rootFile, roots);
  for (const purpose of ["sslserver", "sslclient"]) {
    const { stdout } = await run("openssl", [
      "verify",
      "-x509_strict",
      "-purpose",
      purpose,
      "-CAfile",
      rootFile,
      leafFile,
    ]);
    expect(stdout.trim()).toBe(`${leafFile}: OK`);
  }
  const { stdout } = await run("openssl", [
    "x509",
    "-in",
    leafFile,
    "-noout",
    "-ext",
    "subjectAltName,basicConstraints",
  ]);
  expect(stdout).toContain(
    "X509v3 Subject Alternative Name: critical\n    URI:spiffe://cluster.local/ns/shop/sa/cart\n",
  );
  expect(stdout).toContain("CA:FALSE");
  const certificate = new X509Certificate(leaf);
  expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(join(folder, "key.pem"))))).toBe(true);
  expect(lines.some((line) => line.startsWith("certificate issued") && line.includes("/ns/shop/sa/cart"))).toBe(true);
});

test("with each wrong token it is refused", async () => {
  const now = Math.floor(Date.now() / 1000);
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const legacy = { iss: "kubernetes/serviceaccount", aud: undefined, exp: undefined, "kubernetes.io": undefined };
  const wrong: Readonly<Record<string, ClientCall>> = {
    none: {},
    garbage: { token: "garbage" },
    "of the right form": { token: "aaaa.bbbb.cccc" },
    "for the API server": { token: await tokenOf("cart", { audience: "https://kubernetes.default.svc" }) },
    "for another audience": { token: await tokenOf("cart", { audience: "vault" }) },
    "that has ended": { token: await forge({ exp: now - 60 }) },
    "not yet good": { token: await forge({ nbf: now + 300 }) },
    "of another issuer": { token: await forge({ iss: "https://evil.example" }) },
    "signed by another key": { token: await forge({}, privateKey) },
    "of an account that never was": {
      token: await forge({ "kubernetes.io": { namespace: "shop", serviceaccount: { name: "x", uid: "y" } } }),
    },
    "that never ends": {
      token: await forge({
        ...legacy,
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/service-account.name": "cart",
        "kubernetes.io/serviceaccount/secret.name": "cart-token",
      }),
    },
    "of another cluster": { token: await tokenOf("cart"), headers: { clusterid: "elsewhere" } },
    "a gateway's word": { headers: { "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/shop/sa/cart" } },
  };
  const answers = await callAll([...Object.values(wrong), { token: await forge({}) }]);
  const refusal = { code: "UNAUTHENTICATED", details: "request authenticate failure", chain: [] };
  const expected = Object.keys(wrong).map((what) => [what, refusal]);
  expect(Object.keys(wrong).map((what, index) => [what, answers[index]])).toEqual(expected);
  // What is forged differs in nothing else from a good one.
  expect(answers.at(-1)?.code).toBe("OK");
  const all = lines.join("\n");
  for (const { token = "" } of Object.values(wrong)) expect(token.length > 20 && all.includes(token)).toBe(false);
}, 180_000);

test("CA-13 the token of a pod or an account that is gone is refused", async () => {
  const [ofPod, ofAccount] = [await tokenOf("cart", { podName: "cart-2" }), await tokenOf("leaver")];
  await cluster.kubectl(["delete", "pod", "cart-2", "-n", "shop", "--force", "--grace-period=0"]);
  await cluster.kubectl(["delete", "serviceaccount", "leaver", "-n", "shop"]);
  // The API server itself hears of what is deleted a moment later.
  await vi.waitFor(async () => {
    const answers = await callAll([{ token: ofPod }, { token: ofAccount }]);
    expect(answers.map(({ code }) => code)).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED"]);
  }, patient);
});

test("CVE-2022-23635 no text in place of a token does harm", async () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64url");
  const claims = ["null", "[]", '{"exp":{}}', "x", '"', `${"[".repeat(5000)}${"]".repeat(5000)}`, '{"iss":1,"aud":{}}'];
  const header = base64('{"alg":"RS256"}');
  const texts = [
    ...claims.map((payload) => `${header}.${base64(payload)}.${base64("x")}`),
    ...["", ".", "..", "...", "a", "a.b", "a.b.c.d", "%%%.%%%.%%%", "===.===.===", "null", "[]", "{}", " "],
    ...["null", "[]", "{}", '{"alg":"none"}', '{"alg":{}}'].map((head) => `${base64(head)}.${base64("{}")}.`),
    `${base64('{"alg":"none"}')}.${base64('{"iss":"https://kubernetes.default.svc"}')}.eA`,
    "[".repeat(10_000),
    "a".repeat(1_000_000),
  ];
  const answers = await callAll(texts.map((token) => ({ token })));
  // A megabyte is too much for the transport, which may end the connection.
  const codes = answers.map(({ code }) => code);
  expect(new Set(codes.slice(0, -1))).toEqual(new Set(["UNAUTHENTICATED"]));
  expect(codes.at(-1)).not.toBe("OK");
  expect((await call({ token: await tokenOf("cart") })).code).toBe("OK");
}, 180_000);

test("CA-19 a node proxy has certificates for the accounts of its node alone", async () => {
  const metadata = { ImpersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/cart" };
  const tokenOfNode = (podName: string) => tokenOf("ztunnel", { namespace: "istio-system", podName });
  const [onNode, offNode, unbound, stranger] = await callAll([
    { token: await tokenOfNode("zt-1"), metadata },
    { token: await tokenOfNode("zt-2"), metadata },
    { token: await tokenOf("ztunnel", { namespace: "istio-system" }), metadata },
    { token: await tokenOf("cart", { podName: "cart-1" }), metadata },
  ]);
  expect(new X509Certificate(onNode?.chain[0] ?? "").subjectAltName).toBe(`URI:${metadata.ImpersonatedIdentity}`);
  for (const answer of [offNode, unbound, stranger])
    expect(answer?.details).toBe("request impersonation authentication failure");
});
