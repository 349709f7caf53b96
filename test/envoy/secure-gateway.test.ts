/** Gateways over TLS: a real Envoy proves who it is, gets its certificates by SDS, and serves HTTPS with them. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type PeerCertificate, type SecureContextOptions, type TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { writeWorkloadCertificate } from "../../src/bootstrap/workload-certificate.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { type SecureMesh, startSecureMesh, type TestSecret, tlsSecret } from "../support/secure-mesh.ts";
import { type EnvoyProcess, eventually, startEnvoy } from "./envoy-process.ts";
import { ask, startUpstream } from "./upstreams.ts";

const withoutMtls =
  "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: istio-system}, spec: {mtls: {mode: DISABLE}}}";

interface GatewayOptions {
  /** Namespace that the node says it is of. */
  readonly namespace: string;
  /** "namespace/name" of the certificate. */
  readonly account: string;
  readonly delta: boolean;
  /** Label by which its Gateway selects it. */
  readonly pool: string;
}

/** A gateway's Envoy that connects over TLS with the certificate of an account. */
async function startGateway(
  mesh: SecureMesh,
  { namespace, account, delta, pool }: GatewayOptions,
): Promise<EnvoyProcess> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-gateway-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [ofNamespace = "", serviceAccount = ""] = account.split("/");
  await writeWorkloadCertificate({
    identity: { trustDomain: "cluster.local", namespace: ofNamespace, serviceAccount },
    outDirectory: folder,
    authorityDirectory: mesh.authorityDirectory,
    lifetimeMs: 3_600_000,
  });
  const [host = "", port = ""] = mesh.controlPlane.secureGrpcAddress().split(":");
  const envoy = await startEnvoy({
    ...{ name: `gateway-${pool}`, namespace, serviceAccount: "gateway", type: "router", ip: "127.0.0.9", delta },
    labels: { pool },
    discovery: { host, port: Number(port) },
    tls: { directory: folder, serverName: "localhost" },
  });
  onTestFinished(envoy.stop);
  return envoy;
}

const gatewayOf = (pool: string, servers: string): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${pool}, namespace: shop}
spec: {selector: {pool: ${pool}}, servers: [${servers}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${pool}, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [${pool}]
  http: [{route: [{destination: {host: shop.internal}}]}]
---
`;

const serverOf = (port: number, protocol: string, tls?: string): string =>
  `{port: {number: ${port}, name: p${port}, protocol: ${protocol}}, bind: 127.0.0.1, hosts: ["*"]${tls === undefined ? "" : `, tls: ${tls}`}}`;

/** A service whose only endpoint is a server of this test. */
async function startService(): Promise<string> {
  const upstream = await startUpstream("shop");
  onTestFinished(upstream.stop);
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.internal]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: ${upstream.port}}}]
---
`;
}

/** The status of a GET on a connection of its own, which must show a certificate that `roots` lead to. */
function get(port: number, roots: string, client: SecureContextOptions = {}): Promise<number> {
  const options = { host: "127.0.0.1", port, path: "/", servername: "web.test", ca: roots, agent: false, ...client };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    });
    call
      .on("error", reject)
      .setTimeout(5_000, () => call.destroy(new Error("no answer")))
      .end();
  });
}

function showCertificate(port: number): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      { host: "127.0.0.1", port, servername: "web.test", rejectUnauthorized: false },
      () => {
        const certificate = socket.getPeerCertificate();
        socket.destroy();
        resolve(certificate);
      },
    );
    socket.on("error", reject);
  });
}

const namesOf = async (port: number): Promise<string | undefined> => (await showCertificate(port)).subjectaltname;

for (const delta of [false, true]) {
  const variant = delta ? "delta" : "sotw";

  test(`a gateway serves HTTPS with the secrets of its namespace, also while they change (${variant})`, {
    timeout: 120_000,
  }, async () => {
    const [plain, simple, mutual] = [await findFreePort(), await findFreePort(), await findFreePort()];
    const secret = await tlsSecret("shop", "web");
    const servers = [
      serverOf(plain, "HTTP"),
      serverOf(simple, "HTTPS", "{mode: SIMPLE, credentialName: web}"),
      serverOf(mutual, "HTTPS", "{mode: MUTUAL, credentialName: web}"),
    ];
    const documents = [withoutMtls, "\n---\n", await startService(), gatewayOf("own", servers.join(", ")), secret.yaml];
    const mesh = await startSecureMesh(documents.join(""));
    const envoy = await startGateway(mesh, { namespace: "shop", account: "shop/gateway", delta, pool: "own" });
    await eventually("HTTPS is served", async () => (await get(simple, secret.roots)) === 200);

    // MUTUAL takes clients that the authority in the secret has certified, and no others.
    await expect(get(mutual, secret.roots)).rejects.toThrow();
    const visitor = await tlsSecret("elsewhere", "visitor");
    expect(await get(mutual, secret.roots, { cert: visitor.chain, key: visitor.key })).toBe(200);

    expect(await rotateUnderTraffic(mesh, simple, secret)).toEqual([]);
    const stats = await envoy.admin("stats?filter=update_rejected|listener_create_failure");
    expect(stats.split("\n").filter((line) => /: [1-9]/.test(line))).toEqual([]);
  });
}

/** Requests go on while the certificate is replaced three times; what failed. */
async function rotateUnderTraffic(mesh: SecureMesh, port: number, first: TestSecret): Promise<readonly string[]> {
  const failures: string[] = [];
  let isOver = false;
  let count = 0;
  const traffic = (async () => {
    while (!isOver) {
      const status = await get(port, first.roots).catch((cause: unknown) => String(cause));
      if (status !== 200) failures.push(String(status));
      count += 1;
    }
  })();
  for (let round = 1; round <= 3; round++) {
    const next = await tlsSecret("shop", "web");
    expect(mesh.source.apply(next.yaml)).toEqual([]);
    const { serialNumber } = new X509Certificate(next.chain);
    await eventually(`certificate ${round} is shown`, async () => {
      return (await showCertificate(port)).serialNumber === serialNumber;
    });
  }
  // Enough of it, on a slow machine too.
  await eventually("ten requests were answered", async () => count > 10);
  isOver = true;
  await traffic;
  return failures;
}

test("a gateway of another namespace gets none of them, and its other listeners serve", {
  timeout: 120_000,
}, async () => {
  const [plain, simple] = [await findFreePort(), await findFreePort()];
  const [ofShop, ofBank] = [await tlsSecret("shop", "web"), await tlsSecret("bank", "late")];
  const servers = [serverOf(plain, "HTTP"), serverOf(simple, "HTTPS", "{mode: SIMPLE, credentialName: web}")];
  const documents = [withoutMtls, "\n---\n", await startService(), gatewayOf("other", servers.join(", ")), ofShop.yaml];
  const mesh = await startSecureMesh(documents.join(""));
  const envoy = await startGateway(mesh, { namespace: "bank", account: "bank/gateway", delta: true, pool: "other" });
  await eventually(
    "plain HTTP is served",
    async () => (await ask({ port: plain, path: "/", host: "a" })).status === 200,
  );
  await expect(get(simple, ofShop.roots)).rejects.toThrow();
  const dump = await envoy.admin("config_dump?resource=dynamic_active_secrets");
  expect(dump).not.toContain(Buffer.from(ofShop.chain).toString("base64").slice(0, 60));

  // A secret of that name in its own namespace is another one.
  const own = JSON.parse(JSON.stringify(ofBank.object)) as { metadata: { name: string } };
  own.metadata.name = "web";
  mesh.source.apply(JSON.stringify(own));
  await eventually("its own certificate is shown", async () => (await namesOf(simple)) === "DNS:late.test");
});

test("an Envoy with somebody else's node is not served", { timeout: 120_000 }, async () => {
  const mesh = await startSecureMesh(gatewayOf("own", serverOf(await findFreePort(), "HTTP")));
  const thief = startGateway(mesh, { namespace: "shop", account: "bank/gateway", delta: true, pool: "own" });
  await expect(thief).rejects.toThrow(/authorization%20failed:%20no%20identities/);
});
