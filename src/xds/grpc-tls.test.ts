import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { XdsClient } from "../../test/support/xds-client.ts";
import { createRootAuthority, issueServingCertificate, issueWorkloadCertificate } from "../ca/authority.ts";
import type { PeerCredentials } from "../lib/caller.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { createGrpcTransport, defaultGrpcLimits } from "./grpc-server.ts";
import type { TlsMaterial, TlsSource } from "./transport.ts";

const nowMs = systemClock.now();
const lifetime = { lifetimeMs: 3_600_000, nowMs };

/** An authority with a certificate for the server, and one for a client, which may have expired. */
async function createSide() {
  const authority = await createRootAuthority({ organization: "cluster.local", ...lifetime });
  const { chain, privateKey } = await issueServingCertificate(authority, {
    names: ["localhost", "127.0.0.1"],
    ...lifetime,
  });
  const material: TlsMaterial = { chain, privateKey, clientRoots: authority.roots };
  const certify = async (atMs = nowMs) => {
    const identity = { trustDomain: "cluster.local", namespace: "a", serviceAccount: "b" };
    const issued = await issueWorkloadCertificate(authority, { identity, lifetimeMs: 60_000, nowMs: atMs });
    return { chain: issued.chain, key: issued.privateKey.reveal() };
  };
  return { material, roots: authority.roots, certify };
}

async function startServer(first: TlsMaterial) {
  let current = first;
  const listeners = new Set<() => void>();
  const source: TlsSource = {
    current: () => current,
    onChange(run) {
      listeners.add(run);
      return () => void listeners.delete(run);
    },
  };
  const seen: PeerCredentials[] = [];
  const transport = createGrpcTransport(
    { limits: defaultGrpcLimits, clock: systemClock, log: silentLog },
    {
      admit: () => ({ kind: "now" }),
      async authenticate(credentials) {
        seen.push(credentials);
        return { code: "UNAUTHENTICATED", details: "seen" };
      },
      accept: () => {
        throw new Error("nobody is let in");
      },
      isServing: () => true,
    },
    source,
  );
  const address = await transport.listen("127.0.0.1:0");
  onTestFinished(() => transport.stop(100));
  return {
    port: Number(address.split(":")[1]),
    transport,
    change(next: TlsMaterial) {
      current = next;
      for (const run of listeners) run();
    },
    /** What the server sees of a client with these credentials. */
    async show(security: ConstructorParameters<typeof XdsClient>[1]): Promise<PeerCredentials | string> {
      const client = new XdsClient(address, security);
      const { details } = await client.open("delta").ended;
      client.close();
      return details === "seen" ? (seen.pop() ?? details) : details;
    },
  };
}

test("what a client shows is read, and told apart from what was found good", async () => {
  const [ours, theirs] = [await createSide(), await createSide()];
  const { show } = await startServer(ours.material);
  const { roots } = ours;
  expect(await show({ roots })).toMatchObject({ certificate: { kind: "none" }, bearerTokens: [], clusterIds: [] });
  expect(await show({ roots, certificate: await ours.certify() })).toMatchObject({
    certificate: { kind: "verified", subjectAltName: "URI:spiffe://cluster.local/ns/a/sa/b" },
  });
  expect(await show({ roots, certificate: await theirs.certify() })).toMatchObject({
    certificate: { kind: "unverified" },
  });
  expect(await show({ roots, certificate: await ours.certify(nowMs - 600_000) })).toMatchObject({
    certificate: { kind: "unverified", reason: "CERT_HAS_EXPIRED" },
  });
  const shown = await show({ roots, token: "a.b.c", headers: { clusterid: "west" } });
  expect(shown).toMatchObject({ clusterIds: ["west"] });
  expect(typeof shown === "string" ? [] : shown.bearerTokens.map((token) => token.reveal())).toEqual(["a.b.c"]);
  expect(JSON.stringify(shown)).not.toContain("a.b.c");
  // A client that does not believe our certificate gets no further.
  expect(await show({ roots: theirs.roots })).not.toMatchObject({ certificate: {} });
});

test("certificate and roots change while the server runs", async () => {
  const [before, after] = [await createSide(), await createSide()];
  const server = await startServer(before.material);
  server.change(after.material);
  expect(await server.show({ roots: after.roots, certificate: await after.certify() })).toMatchObject({
    certificate: { kind: "verified" },
  });
  expect(await server.show({ roots: after.roots, certificate: await before.certify() })).toMatchObject({
    certificate: { kind: "unverified" },
  });
});

test("nothing older than TLS 1.2 is spoken, and HTTP/2 alone", async () => {
  const side = await createSide();
  const { port } = await startServer(side.material);
  const shake = (options: object): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port, servername: "localhost", ca: side.roots, ...options }, () => {
        resolve(`${socket.getProtocol()} ${String(socket.alpnProtocol)}`);
        socket.destroy();
      });
      socket.on("error", () => resolve("refused"));
    });
  expect(await shake({ ALPNProtocols: ["h2"] })).toBe("TLSv1.3 h2");
  expect(await shake({ ALPNProtocols: ["h2"], maxVersion: "TLSv1.2" })).toBe("TLSv1.2 h2");
  expect(await shake({ maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "ALL@SECLEVEL=0" })).toBe("refused");
  expect(await shake({ maxVersion: "TLSv1.2", ciphers: "AES128-SHA" })).toBe("refused");
  expect(await shake({ ALPNProtocols: ["http/1.1"] })).toBe("refused");
});

test("a client that does not say what it speaks is let go", async () => {
  const side = await createSide();
  const { port } = await startServer(side.material);
  const socket = connect({ host: "127.0.0.1", port, servername: "localhost", ca: side.roots });
  socket.on("error", () => undefined);
  await once(socket, "close");
});

test("a handshake that does not come to its end does not outlive the server", async () => {
  const { port, transport } = await startServer((await createSide()).material);
  const socket = connectTcp(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  // Whoever came later was heard, so the server has taken the one that says nothing.
  const other = connectTcp(port, "127.0.0.1", () => other.write("GET / HTTP/1.1\r\n\r\n"));
  other.on("error", () => undefined);
  other.resume();
  await once(other, "close");
  const closed = once(socket, "close");
  socket.resume();
  await transport.stop(60_000);
  await closed;
});
