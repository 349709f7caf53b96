/** A signer of the Kubernetes API behind a real API server; who signs is this test, since Kubernetes' own takes no SPIFFE. */
import { X509Certificate } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Authority, createRootAuthority } from "../../src/ca/authority.ts";
import type { CertificateSigner } from "../../src/ca/certificate-signer.ts";
import { createKubernetesSigner } from "../../src/ca/kubernetes-signer.ts";
import { signLeaf } from "../../src/ca/leaf.ts";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { CertificateError } from "../../src/lib/certificate.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { type Cluster, startCluster } from "../../tools/cluster/cluster.ts";
import { createRequest, requested, sharedKeys } from "../support/signing-requests.ts";

const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const own = "spiffe://cluster.local/ns/shop/sa/cart";
const hourMs = 3_600_000;
let cluster: Cluster;
let client: KubeClient;
let root: Authority;
let other: Authority;
/** How the signer of the test answers, by request. */
type Answer = () => Promise<object>;
let answer: Answer | undefined;
const seen: { readonly spec: Readonly<Record<string, unknown>>; readonly isApproved: boolean }[] = [];
const stopping = new AbortController();
let loop: Promise<void> = Promise.resolve();

beforeAll(async () => {
  cluster = await startCluster();
  client = await createKubeClient({ kubeconfig: cluster.kubeconfig, clock: systemClock, log: silentLog });
  const options = { organization: "signer", lifetimeMs: 24 * hourMs, nowMs: systemClock.now() };
  [root, other] = [await createRootAuthority(options), await createRootAuthority(options)];
  loop = runSigner();
}, 120_000);

afterEach(() => {
  seen.length = 0;
  answer = undefined;
});

afterAll(async () => {
  stopping.abort();
  await loop;
  client?.close();
  await cluster?.stop();
});

interface RequestObject {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly request: string };
  readonly status: { readonly conditions?: readonly { readonly type: string }[]; readonly certificate?: string };
}

async function runSigner(): Promise<void> {
  while (!stopping.signal.aborted) {
    const { items } = (await client.request({ path })) as { readonly items: readonly RequestObject[] };
    for (const item of items) if (item.status.certificate === undefined) await answerOne(item);
    await new Promise((resolve) => systemClock.after(50, () => resolve(undefined)));
  }
}

async function answerOne(item: RequestObject): Promise<void> {
  const isApproved = item.status.conditions?.some(({ type }) => type === "Approved") === true;
  if (!isApproved || answer === undefined) return;
  seen.push({ spec: item.spec, isApproved });
  const status = await answer();
  const body = { ...item, status: { ...item.status, ...status } };
  // Whoever asked may have given up and deleted it.
  await client.request({ method: "PUT", path: `${path}/${item.metadata.name}/status`, body }).catch(() => undefined);
}

const certify =
  (authority: Authority, uri = own): Answer =>
  async () => {
    const publicKey = sharedKeys.publicKey.export({ type: "spki", format: "der" });
    const order = {
      names: [{ type: "url", value: uri }],
      publicKey,
      lifetimeMs: hourMs,
      nowMs: systemClock.now(),
    } as const;
    const { certificate } = await signLeaf(authority, order);
    return { certificate: Buffer.from(certificate).toString("base64") };
  };

const createSigner = (given: { readonly timeoutMs?: number; readonly signerDomain?: string } = {}): CertificateSigner =>
  createKubernetesSigner({
    ...{ client, clock: systemClock, log: silentLog },
    signerName: "example.com/mesh",
    signerDomain: given.signerDomain ?? "",
    findRoots: async () => root.roots,
    timeoutMs: given.timeoutMs ?? 30_000,
  });

const orderOf = (pem: string, certSigner = "") => ({
  request: { pem, publicKey: sharedKeys.publicKey.export({ type: "spki", format: "der" }) },
  identity,
  lifetimeMs: hourMs,
  certSigner,
});
const goodRequest = (): string => createRequest({ extensions: [requested.names({ uniformResourceIdentifier: own })] });

async function countLeft(): Promise<number> {
  const { items } = (await client.request({ path })) as { readonly items: readonly unknown[] };
  return items.length;
}

test("a request is made, approved, signed and cleared up", async () => {
  answer = certify(root);
  const signed = await createSigner().sign(orderOf(goodRequest()));
  const leaf = new X509Certificate(signed.chain[0] ?? "");
  expect(leaf.subjectAltName).toBe(`URI:${own}`);
  expect(leaf.verify(new X509Certificate(root.certificate).publicKey)).toBe(true);
  expect(signed.roots).toBe(root.roots);
  expect(signed.serialNumber).toBe(leaf.serialNumber.toLowerCase());
  expect(seen[0]).toMatchObject({
    isApproved: true,
    spec: {
      signerName: "example.com/mesh",
      expirationSeconds: 3600,
      usages: ["digital signature", "key encipherment", "server auth", "client auth"],
    },
  });
  expect(await countLeft()).toBe(0);
});

test("a workload chooses a signer of the domain, and no other", async () => {
  answer = certify(root);
  await createSigner({ signerDomain: "clusterissuers.example.com" }).sign(orderOf(goodRequest(), "blue"));
  expect(seen[0]?.spec["signerName"]).toBe("clusterissuers.example.com/blue");
  await expect(createSigner().sign(orderOf(goodRequest(), "blue"))).rejects.toThrow("CERT_SIGNER_DOMAIN");
  const wrong = createSigner({ signerDomain: "example.com" }).sign(orderOf(goodRequest(), "../evil"));
  await expect(wrong).rejects.toThrow("no name that Kubernetes takes");
});

test.each([
  ["of another root", () => certify(other), "does not lead to a root"],
  ["of another name", () => certify(root, "spiffe://cluster.local/ns/shop/sa/admin"), "another name"],
  [
    "that is refused",
    (): Answer => async () => ({
      conditions: [
        { type: "Approved", status: "True", reason: "x", message: "x" },
        { type: "Failed", status: "True", reason: "No", message: "not today" },
      ],
    }),
    "says Failed: not today",
  ],
])("an answer %s is not passed on", async (_case, make, reason) => {
  answer = make();
  const signing = createSigner().sign(orderOf(goodRequest()));
  await expect(signing).rejects.toThrow(reason);
  await expect(signing).rejects.toThrow(CertificateError);
  expect(await countLeft()).toBe(0);
});

test("a signer that does not answer is waited for no longer than said, and nothing is left behind", async () => {
  await expect(createSigner({ timeoutMs: 1_000 }).sign(orderOf(goodRequest()))).rejects.toThrow(
    "did not answer in time",
  );
  expect(await countLeft()).toBe(0);
});

test("CA-4 a request for more than the caller's own name never reaches the signer", async () => {
  answer = certify(root);
  const uniformResourceIdentifier = "spiffe://cluster.local/ns/shop/sa/admin";
  const foreign = createRequest({ extensions: [requested.names({ uniformResourceIdentifier })] });
  await expect(createSigner().sign(orderOf(foreign))).rejects.toThrow("somebody else");
  await expect(createSigner().sign(orderOf(createRequest({ commonName: "root" })))).rejects.toThrow("subject");
  expect(seen).toEqual([]);
});
