/** Identity and encryption between pods: who proves what to whom. */
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toolboxImage } from "../../tools/e2e/image-names.ts";
import { productPageUrl, waitForReviewer } from "./support/calls.ts";
import { apply, askFor, findPod, kubectl, listPods, runInPod, waitFor, waitForReady } from "./support/kubernetes.ts";

const toolbox = (name: string, inject: boolean): string => `
apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: callers
  labels: {app: ${name}, sidecar.istio.io/inject: "${inject}"}
  annotations:
    # Statistics of single clusters are left out otherwise.
    proxy.istio.io/config: '{"proxyStatsMatcher": {"inclusionPrefixes": ["cluster.outbound"]}}'
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: toolbox, image: ${toolboxImage}, imagePullPolicy: Never}]
`;

beforeAll(async () => {
  await apply("{apiVersion: v1, kind: Namespace, metadata: {name: callers}}");
  await waitFor("the account of the new namespace", 60_000, async () => {
    await kubectl(["-n", "callers", "get", "serviceaccount", "default"]);
    return undefined;
  });
  await apply(`${toolbox("plain", false)}---${toolbox("meshed", true)}`);
  await waitForReady("callers", "app in (plain, meshed)");
});
afterAll(async () => {
  await kubectl(["-n", "bookinfo", "delete", "peerauthentication", "--all"]);
  await kubectl(["delete", "namespace", "callers", "--wait=false"]);
});

/** What ratings answers to a caller; the code of the error where it does not. */
function askRatings(caller: "plain" | "meshed"): Promise<string> {
  const command = askFor("http://ratings.bookinfo:9080/ratings/0");
  return runInPod("callers", caller, { container: "toolbox", command });
}

const expectServed = (caller: "plain" | "meshed"): Promise<void> =>
  expect.poll(() => askRatings(caller), { timeout: 60_000, interval: 500 }).toContain('"Reviewer1":5');

describe("permissive, the default", () => {
  it("serves pods with and without a sidecar", async () => {
    await expectServed("plain");
    await expectServed("meshed");
  });

  it("uses a certificate for calls between sidecars without being told to", async () => {
    const command = askFor("http://productpage.bookinfo:9080/health");
    await runInPod("callers", "meshed", { container: "toolbox", command });
    const { status } = await findPod("callers", "app=meshed");
    const metrics = await fetch(`http://${status.podIP}:15020/stats/prometheus`).then((answer) => answer.text());
    expect(metrics).toMatch(
      /^envoy_cluster_ssl_handshake\{cluster_name="outbound\|9080\|\|productpage\.bookinfo\.svc\.cluster\.local"\} [1-9]/m,
    );
  });
});

describe("strict", () => {
  beforeAll(() =>
    apply(`
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: bookinfo}
spec: {mtls: {mode: STRICT}}
`),
  );

  it("refuses a pod without a sidecar and serves one with it", async () => {
    await expect.poll(() => askRatings("plain"), { timeout: 60_000, interval: 500 }).toBe("ECONNRESET\n");
    await expectServed("meshed");
    expect(await askRatings("plain")).not.toContain("Reviewer1");
  });

  it("still shows the product page through the gateway, which has a certificate", async () => {
    await waitForReviewer(await productPageUrl(), "reviews-v1");
  });

  it("lets the kubelet see that a new pod is ready", async () => {
    await kubectl(["-n", "bookinfo", "rollout", "restart", "deployment/ratings-v1"]);
    await kubectl(["-n", "bookinfo", "rollout", "status", "deployment/ratings-v1", "--timeout=180s"]);
    await expectServed("meshed");
  });
});

/** The certificate that a pod's proxy shows to anybody who says hello as a mesh does. */
function readCertificate(host: string): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: 9080, ALPNProtocols: ["istio"], rejectUnauthorized: false });
    socket
      .once("secureConnect", () => {
        const certificate = socket.getPeerX509Certificate();
        socket.destroy();
        if (certificate === undefined) reject(new Error(`${host} shows no certificate`));
        else resolve(certificate);
      })
      // After the handshake the proxy complains about our own missing certificate.
      .on("error", reject);
  });
}

describe("certificates", () => {
  it("name the service account of the pod, and nothing else", async () => {
    for (const app of ["productpage", "details", "reviews", "ratings"]) {
      const { status, spec } = await findPod("bookinfo", `app=${app}`);
      expect(spec.serviceAccountName).toBe(`bookinfo-${app}`);
      const { subjectAltName } = await readCertificate(status.podIP ?? "");
      expect(subjectAltName).toBe(`URI:spiffe://cluster.local/ns/bookinfo/sa/bookinfo-${app}`);
    }
  });

  it("are signed by the root that every namespace has, and none is like another", async () => {
    const pods = await listPods("bookinfo", "app in (productpage, details, reviews, ratings)");
    const pem = await kubectl([
      ...["-n", "callers", "get", "configmap", "istio-ca-root-cert"],
      ...["-o", "jsonpath={.data['root-cert\\.pem']}"],
    ]);
    const root = new X509Certificate(pem);
    const shown = await Promise.all(pods.map(({ status }) => readCertificate(status.podIP ?? "")));
    for (const certificate of shown) {
      expect(certificate.verify(root.publicKey)).toBe(true);
      expect(certificate.ca).toBe(false);
    }
    expect(new Set(shown.map(({ fingerprint256 }) => fingerprint256)).size).toBe(pods.length);
  });
});
