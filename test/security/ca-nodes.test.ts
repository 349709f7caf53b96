/** Check 19 of the certificate authority: node proxies, and nobody else, have certificates for the pods of their node. */
import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { createNodeAuthorization, createPodLookup } from "../../src/ca/node-authorization.ts";
import { createTokenAuthenticator } from "../../src/ca/token-authenticator.ts";
import type { KubeRequest } from "../../src/kube/kube-client.ts";
import { SecretText } from "../../src/lib/secret-text.ts";
import { certificateOf, chainOf, createCertificateRig, refusalIn, startMs } from "../support/certificate-rig.ts";
import { createReviewer, createToken, goodReview } from "../support/reviewer.ts";
import { createKeptLog } from "../support/secure-mesh.ts";
import { TestClock } from "../support/test-clock.ts";

interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly account: string;
  readonly node: string;
  readonly phase?: string;
}

const nodeProxy: Pod = { namespace: "istio-system", name: "zt-1", uid: "uid-1", account: "ztunnel", node: "node-1" };
const cart: Pod = { namespace: "shop", name: "cart-1", uid: "uid-2", account: "cart", node: "node-1" };
const wanted = "spiffe://cluster.local/ns/shop/sa/cart";
const refusal = "UNAUTHENTICATED request impersonation authentication failure";

/** What the API server says of pods. */
function answerPods(pods: readonly Pod[], { path, query = {} }: KubeRequest): unknown {
  const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods(?:\/(.+))?$/.exec(path) ?? [];
  const inNamespace = pods.filter((pod) => pod.namespace === namespace);
  if (name !== undefined) return inNamespace.map(formatPod).find(({ metadata }) => metadata.name === name) ?? 404;
  const conditions = (query["fieldSelector"] ?? "").split(",").map((text) => text.split(/(!?=)/));
  const items = inNamespace.map(formatPod).filter((pod) =>
    conditions.every(([field = "", operator, value]) => {
      const values: Readonly<Record<string, string>> = {
        "spec.nodeName": pod.spec.nodeName,
        "spec.serviceAccountName": pod.spec.serviceAccountName,
        "status.phase": pod.status.phase,
      };
      if (!(field in values)) throw new Error(`pods cannot be selected by ${field}`);
      return (values[field] === value) === (operator === "=");
    }),
  );
  return { items };
}

const formatPod = ({ name, uid, account, node, phase = "Running" }: Pod) => ({
  metadata: { name, uid },
  spec: { serviceAccountName: account, nodeName: node },
  status: { phase },
});

interface Situation {
  readonly trusted?: string;
  readonly pods?: readonly Pod[] | number;
  /** The pod that the caller's token is bound to; undefined for none. */
  readonly caller?: { readonly name: string; readonly uid: string } | undefined;
  readonly account?: string;
  readonly requested?: string;
}

async function impersonate(situation: Situation) {
  const { trusted = "istio-system/ztunnel", pods = [nodeProxy, cart], account = "istio-system/ztunnel" } = situation;
  const caller = "caller" in situation ? situation.caller : nodeProxy;
  const { client } = createReviewer((request) => {
    if (request.method === "POST") return goodReview(account, caller);
    return typeof pods === "number" ? pods : answerPods(pods, request);
  });
  const clock = new TestClock();
  clock.advance(startMs);
  const trustDomain = () => "cluster.local";
  const kept = createKeptLog();
  const authorizeNode =
    trusted === ""
      ? undefined
      : createNodeAuthorization({ trustedAccounts: new Set([trusted]), pods: createPodLookup(client), trustDomain });
  const byToken = createTokenAuthenticator({
    ...{ client, audiences: ["istio-ca"], clusterId: "Kubernetes", trustDomain, clock, log: kept.log },
  });
  const rig = await createCertificateRig({ authenticators: [byToken], authorizeNode, log: kept.log });
  const token = new SecretText(createToken({ exp: startMs / 1000 + 600 }));
  const answer = await rig.call(
    { metadata: { ImpersonatedIdentity: situation.requested ?? wanted } },
    { certificate: { kind: "none" }, bearerTokens: [token], clusterIds: ["Kubernetes"] },
  );
  return { answer, log: kept.lines.join("\n") };
}

const away: Pod = { ...cart, name: "cart-2", uid: "uid-3", node: "node-2" };

test.each<[string, Situation]>([
  ["a pod with it runs on the node", {}],
  ["pods with it run there and elsewhere", { pods: [nodeProxy, away, cart] }],
])("a node proxy has a certificate for an account where %s", async (_case, situation) => {
  const { answer, log } = await impersonate(situation);
  const [leaf = ""] = chainOf(answer);
  expect(new X509Certificate(leaf).subjectAltName).toBe(`URI:${wanted}`);
  expect(log).toContain('"requestedBy":"spiffe://cluster.local/ns/istio-system/sa/ztunnel"');
});

test.each<[string, Situation, string]>([
  ["no account may", { trusted: "" }, "CA_TRUSTED_NODE_ACCOUNTS"],
  ["another account may", { trusted: "istio-system/other" }, "not allowed to impersonate"],
  ["an account of that name in another namespace asks", { account: "shop/ztunnel" }, "not allowed to impersonate"],
  ["no pod with it runs", { pods: [nodeProxy] }, "runs on node node-1"],
  ["it runs elsewhere alone", { pods: [nodeProxy, away] }, "runs on node node-1"],
  ["its only pod there has failed", { pods: [nodeProxy, { ...cart, phase: "Failed" }] }, "runs on node node-1"],
  [
    "an account of that name runs there in another namespace",
    { pods: [nodeProxy, { ...cart, namespace: "x" }] },
    "runs on",
  ],
  ["the name is none", { requested: "not-a-name" }, "none of a workload"],
  ["the name is of another trust domain", { requested: wanted.replace("cluster.local", "x.y") }, "trust domain"],
  ["the pod of the caller is not known", { pods: [cart] }, "is not found"],
  ["the pod of the caller has failed", { pods: [{ ...nodeProxy, phase: "Failed" }, cart] }, "is not found"],
  ["the pod of the caller was made anew", { pods: [{ ...nodeProxy, uid: "uid-9" }, cart] }, "another one now"],
  [
    "the pod of the caller has another account",
    { pods: [{ ...nodeProxy, account: "x" }, cart] },
    "another service account",
  ],
  [
    "the pod of the caller runs nowhere yet",
    {
      pods: [
        { ...nodeProxy, node: "" },
        { ...cart, node: "" },
      ],
    },
    "runs on node",
  ],
  ["the token is bound to no pod", { caller: undefined }, "in which pod"],
  ["the API server fails", { pods: 500 }, "cannot be looked up"],
])("CA-19 it has none where %s", async (_case, situation, reason) => {
  const { answer, log } = await impersonate(situation);
  expect(refusalIn(answer)).toBe(refusal);
  expect(log).toContain(reason);
});

test("CA-19 a certificate proves no pod, so its owner impersonates nobody", async () => {
  const { client } = createReviewer((request) => answerPods([nodeProxy, cart], request));
  const trustedAccounts = new Set(["istio-system/ztunnel"]);
  const pods = createPodLookup(client);
  const authorizeNode = createNodeAuthorization({ trustedAccounts, pods, trustDomain: () => "cluster.local" });
  const { call } = await createCertificateRig({ authorizeNode });
  const metadata = { ImpersonatedIdentity: wanted };
  expect(refusalIn(await call({ metadata }, certificateOf("istio-system/ztunnel")))).toBe(refusal);
});
