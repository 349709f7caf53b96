/** Checks 16, 17, 20 to 22 of the certificate authority, on the ports of a whole control plane. */
import { X509Certificate } from "node:crypto";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { inspect } from "node:util";
import { decode } from "@meltemi/protos";
import { expect, onTestFinished, test, vi } from "vitest";
import { createRootAuthority, issueWorkloadCertificate } from "../../src/ca/authority.ts";
import { createFileAuthorityStore } from "../../src/ca/authority-files.ts";
import { createCertificatePath } from "../../src/ca/certificate-service.ts";
import { debugPages } from "../../src/http/debug/pages.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { encodeRequest } from "../support/certificate-rig.ts";
import { createKeptLog, type SecureMesh, startSecureMesh } from "../support/secure-mesh.ts";
import { createRequest } from "../support/signing-requests.ts";
import { XdsClient } from "../support/xds-client.ts";

const [unimplemented, unauthenticated] = [12, 16];
const csr = createRequest();
const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const hourMs = 3_600_000;

/** The chain that a client gets, or the code of the status. */
async function ask(client: XdsClient): Promise<readonly string[] | number> {
  try {
    const answer = await client.call(createCertificatePath, encodeRequest({ csr }));
    return decode("istio.v1.auth.IstioCertificateResponse", answer).cert_chain ?? [];
  } catch (cause: unknown) {
    return (cause as { readonly code: number }).code;
  }
}

test("a certificate is renewed with the certificate, over and over, and leads to the root", async () => {
  const mesh = await startSecureMesh("");
  const chain = await ask(await mesh.connectAs("shop/cart"));
  if (typeof chain === "number") throw new Error(`status ${chain}`);
  const [leaf, roots] = [new X509Certificate(chain[0] ?? ""), chain.at(-1)];
  expect(leaf.subjectAltName).toBe("URI:spiffe://cluster.local/ns/shop/sa/cart");
  expect(roots).toBe(mesh.roots);
  expect(leaf.verify(new X509Certificate(mesh.roots).publicKey)).toBe(true);
});

test("CA-16 a certificate of another authority, or one that has ended, renews nothing", async () => {
  const mesh = await startSecureMesh("");
  const nowMs = systemClock.now();
  const lifetime = { lifetimeMs: hourMs, nowMs };
  const local = { organization: "cluster.local", rootLifetimeMs: hourMs, clock: systemClock };
  const own = await createFileAuthorityStore(mesh.authorityDirectory, local).load();
  const other = await createRootAuthority({ organization: "cluster.local", ...lifetime });
  for (const issued of [
    await issueWorkloadCertificate(other, { identity, ...lifetime }),
    await issueWorkloadCertificate(own, { identity, lifetimeMs: 60_000, nowMs: nowMs - hourMs }),
  ]) {
    const certificate = { chain: issued.chain, key: issued.privateKey.reveal() };
    expect(await ask(mesh.connect({ certificate }))).toBe(unauthenticated);
  }
  expect(await ask(mesh.connect())).toBe(unauthenticated);
});

test("CA-17 nobody is believed a header where no gateway is named", async () => {
  const mesh = await startSecureMesh("");
  const headers = { "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/shop/sa/cart" };
  expect(await ask(mesh.connect({ headers }))).toBe(unauthenticated);
});

test("a gateway on this machine is believed where networks of gateways are named", async () => {
  const mesh = await startSecureMesh("", { options: { trustedGatewayCidr: "10.250.0.0/16" } });
  const headers = { "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/shop/sa/cart" };
  expect(await ask(mesh.connect({ headers }))).toHaveLength(2);
});

test("CA-20 nothing is certified in plain text", async () => {
  const mesh = await startSecureMesh("");
  const client = new XdsClient(mesh.controlPlane.grpcAddress);
  onTestFinished(() => client.close());
  expect(await ask(client)).toBe(unimplemented);
});

test("nothing is certified where the flag says so", async () => {
  const mesh = await startSecureMesh("", { options: { caServer: "false" } });
  expect(await ask(await mesh.connectAs("shop/cart"))).toBe(unimplemented);
});

test("metrics say when the authority ends", async () => {
  const mesh = await startSecureMesh("");
  const url = `http://127.0.0.1:${mesh.controlPlane.monitoringPort}/metrics`;
  const end = new X509Certificate(mesh.roots).validToDate.getTime() / 1000;
  await vi.waitFor(
    async () =>
      expect(await (await fetch(url)).text()).toContain(`\ncitadel_server_root_cert_expiry_timestamp ${end}\n`),
    { timeout: 20_000 },
  );
  const text = await (await fetch(url)).text();
  expect(text).toMatch(/\ncitadel_server_root_cert_expiry_seconds \d/);
  // The root itself signs: there is no chain.
  expect(text).not.toMatch(/\ncitadel_server_cert_chain_expiry_seconds -?\d/);
});

/** Protocol, cipher and application protocol of a handshake, or the error's code. */
function shakeHands(
  { controlPlane, roots }: SecureMesh,
  options: ConnectionOptions,
): Promise<readonly unknown[] | string> {
  const [, port] = /:(\d+)$/.exec(controlPlane.secureGrpcAddress()) ?? [];
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({
      host: "127.0.0.1",
      port: Number(port),
      ca: roots,
      servername: "localhost",
      ...options,
    });
    socket.once("secureConnect", () => {
      resolve([socket.getProtocol(), socket.getCipher().standardName, socket.alpnProtocol]);
      socket.destroy();
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

test("CA-21 TLS is 1.2 or later, with authenticated encryption, and speaks HTTP/2", async () => {
  const mesh = await startSecureMesh("");
  const ALPNProtocols = ["h2", "http/1.1"];
  expect(await shakeHands(mesh, { ALPNProtocols })).toEqual(["TLSv1.3", expect.stringMatching(/GCM|POLY1305/), "h2"]);
  const tls12 = { ALPNProtocols, maxVersion: "TLSv1.2" } as const;
  expect(await shakeHands(mesh, tls12)).toEqual(["TLSv1.2", expect.stringMatching(/ECDHE.*(GCM|POLY1305)/), "h2"]);
  const weak = "DEFAULT@SECLEVEL=0";
  for (const version of ["TLSv1", "TLSv1.1"] as const) {
    const options = { ALPNProtocols, minVersion: version, maxVersion: version, ciphers: weak } as const;
    expect([version, await shakeHands(mesh, options)]).toEqual([version, expect.stringMatching(/VERSION|PROTOCOL/)]);
  }
  for (const ciphers of ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"]) {
    const options = { ...tls12, ciphers: `${ciphers}:@SECLEVEL=0` };
    expect([ciphers, await shakeHands(mesh, options)]).toEqual([ciphers, expect.stringMatching(/HANDSHAKE_FAILURE/)]);
  }
});

test("CA-22 no key and no token shows in logs, debug pages and metrics", async () => {
  const { log, lines } = createKeptLog();
  const mesh = await startSecureMesh("", { log });
  const local = { organization: "cluster.local", rootLifetimeMs: hourMs, clock: systemClock };
  const authority = await createFileAuthorityStore(mesh.authorityDirectory, local).load();
  const certificate = await mesh.certify("shop/cart");
  const token = "aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccccccc";
  expect(await ask(mesh.connect({ certificate, token }))).toHaveLength(2);
  expect(await ask(mesh.connect({ token }))).toBe(unauthenticated);
  const { httpPort, monitoringPort } = mesh.controlPlane;
  const urls = [
    ...debugPages.map(({ path }) => `http://127.0.0.1:${httpPort}/debug/${path}`),
    `http://127.0.0.1:${monitoringPort}/metrics`,
  ];
  const pages = await Promise.all(urls.map(async (url) => (await fetch(url)).text()));
  expect(pages.at(-1)).toContain("citadel_server_success_cert_issuance_count 1");
  expect(lines.some((line) => line.startsWith("certificate issued"))).toBe(true);
  const seen = [...lines, ...pages].join("\n");
  const secrets = [authority.privateKey.reveal(), certificate.key].map((key) => key.split("\n")[1] ?? "");
  for (const secret of [...secrets, ...token.split("."), "PRIVATE KEY"]) {
    expect(secret.length).toBeGreaterThan(10);
    expect(seen).not.toContain(secret);
  }
});

test("CA-22 an authority that is printed shows no key", async () => {
  const authority = await createRootAuthority({ organization: "a", lifetimeMs: hourMs, nowMs: systemClock.now() });
  const key = authority.privateKey.reveal().split("\n")[1] ?? "";
  const { privateKey } = authority;
  const printed = [JSON.stringify(authority), inspect(authority, { depth: 9, showHidden: true }), `${privateKey}`];
  for (const text of printed) {
    expect(text).toContain("[redacted]");
    expect(text).not.toContain(key);
  }
});
