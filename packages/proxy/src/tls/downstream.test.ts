import { X509Certificate } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type {
  CertificateValidationContext,
  CommonTlsContext,
  DownstreamTlsContext,
  Secret,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { afterEach, beforeAll, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { createTestStats, listen, noSecrets, type TestStats, until } from "../../test/support/pool-rig.ts";
import {
  createTestCertificates,
  identity,
  type TestCertificates,
  toWire,
  withKeys,
} from "../../test/support/tls-rig.ts";
import { systemClock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { silentLog } from "../lib/log.ts";
import type { TlsInfo } from "../listeners/connection.ts";
import { compileDownstreamTls, type DownstreamTlsEnv } from "./downstream.ts";
import { HandshakeLine } from "./handshake-line.ts";
import { TlsError } from "./tls-error.ts";
import type { DownstreamTls, SecretProvider } from "./types.ts";

const opened: { close(): unknown }[] = [];
let certificates: TestCertificates;

beforeAll(async () => {
  certificates = await createTestCertificates();
});

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

/** Secrets that the test changes. */
function createSecrets(): { readonly provider: SecretProvider; set(name: string, secret: Secret): void } {
  const current = new Map<string, Secret>();
  const runs = new Set<() => void>();
  return {
    provider: {
      open: ({ name = "" }) => ({
        name,
        get current() {
          return current.get(name);
        },
        ready: Promise.resolve(),
        onChange(run) {
          runs.add(run);
          return () => runs.delete(run);
        },
        close: () => undefined,
      }),
      list: () => [],
    },
    set(name, secret) {
      current.set(name, secret);
      for (const run of runs) run();
    },
  };
}

function createEnv(overrides: Partial<DownstreamTlsEnv> = {}): DownstreamTlsEnv {
  const handshakes = new HandshakeLine(systemClock);
  opened.push(handshakes);
  return { secrets: noSecrets, log: silentLog, listenerStats: createTestStats(), handshakes, ...overrides };
}

/** That of the server's certificate, and of nothing else. */
function openServerTls(): DownstreamTls {
  const tls = compileDownstreamTls(
    { common_tls_context: { tls_certificates: [toWire(certificates.server)] } },
    createEnv(),
  );
  opened.push(tls);
  return tls;
}

interface Accepted {
  readonly port: number;
  readonly infos: TlsInfo[];
  readonly errors: string[];
  readonly stats: TestStats;
}

/** A loopback listener, as half open as those of the proxy, that shakes hands by a DownstreamTlsContext and says "hi". */
async function serve(wire: DownstreamTlsContext, env: Partial<DownstreamTlsEnv> = {}): Promise<Accepted> {
  const stats = createTestStats();
  const tls = compileDownstreamTls(wire, createEnv({ ...env, listenerStats: stats }));
  opened.push(tls);
  const [infos, errors]: [TlsInfo[], string[]] = [[], []];
  const tcp = await listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      tls.accept(socket).then(
        ({ stream, info }) => {
          infos.push(info);
          stream.end("hi");
        },
        (cause: unknown) => {
          errors.push(cause instanceof TlsError ? cause.message : String(cause));
          socket.destroy();
        },
      );
    }),
  );
  opened.push(tcp);
  return { port: tcp.port, infos, errors, stats };
}

interface Seen {
  readonly said: string;
  readonly subject: string;
  readonly alpn: string | false | null;
}

/** What a client of the platform gets: the text, or an error. */
function ask(
  port: number,
  { onSession, ...options }: ConnectionOptions & { readonly onSession?: (session: Buffer) => void } = {},
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    let said = "";
    const socket: TLSSocket = connectTls({ ...options, port, host: "127.0.0.1", rejectUnauthorized: false });
    opened.push({ close: () => socket.destroy() });
    if (onSession) socket.on("session", onSession);
    socket.on("data", (chunk) => {
      said += chunk.toString();
    });
    let subject = "";
    socket.on("secureConnect", () => {
      subject = socket.getPeerX509Certificate()?.subject ?? "";
    });
    socket.on("error", reject);
    socket.on("close", () => resolve({ said, subject, alpn: socket.alpnProtocol }));
  });
}

it("tells all of a client that shows a certificate", async () => {
  const common: CommonTlsContext = {
    tls_certificates: [toWire(certificates.server)],
    validation_context: certificates.trust(),
    alpn_protocols: ["h2", "http/1.1"],
  };
  const { port, infos, stats } = await serve({
    common_tls_context: common,
    require_client_certificate: { value: true },
  });
  const options = { ...withKeys(certificates.client), servername: "a.test", ALPNProtocols: ["http/1.1", "h2"] };
  expect(await ask(port, options)).toMatchObject({ said: "hi", alpn: "h2" });
  expect(infos[0]).toMatchObject({
    version: "TLSv1.3",
    sni: "a.test",
    alpn: "h2",
    isPeerVerified: true,
    peer: { uriSans: [identity], dnsSans: [], issuer: "CN=test roots" },
    local: { dnsSans: ["a.test", "*.b.test"] },
  });
  expect(infos[0]?.peer?.sha256).toBe(
    new X509Certificate(certificates.client.certificatePem).fingerprint256.replaceAll(":", "").toLowerCase(),
  );
  expect([stats.read("ssl.handshake"), stats.read("ssl.versions.TLSv1.3"), stats.read("ssl.connection_error")]).toEqual(
    [1, 1, 0],
  );
});

it.each<
  [
    string,
    () => Partial<DownstreamTlsContext> & { readonly validation?: CertificateValidationContext },
    () => object,
    string | undefined,
  ]
>([
  [
    "a stranger",
    () => ({ validation: certificates.trust() }),
    () => withKeys(certificates.stranger),
    "fail_verify_error",
  ],
  [
    "nobody, who must be somebody",
    () => ({ validation: certificates.trust(), require_client_certificate: { value: true } }),
    () => ({}),
    "fail_verify_no_cert",
  ],
  ["nobody, who may be nobody", () => ({ validation: certificates.trust() }), () => ({}), undefined],
  [
    "another identity",
    () => ({
      validation: certificates.trust({
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix: "spiffe://x/" } }],
      }),
    }),
    () => withKeys(certificates.client),
    "fail_verify_san",
  ],
  [
    "the identity",
    () => ({
      validation: certificates.trust({
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: identity } }],
      }),
    }),
    () => withKeys(certificates.client),
    undefined,
  ],
  [
    "a stranger, where any will do",
    () => ({ validation: certificates.trust({ trust_chain_verification: "ACCEPT_UNTRUSTED" }) }),
    () => withKeys(certificates.stranger),
    undefined,
  ],
  [
    "another certificate than the pinned one",
    () => ({ validation: certificates.trust({ verify_certificate_hash: ["00".repeat(32)] }) }),
    () => withKeys(certificates.client),
    "fail_verify_cert_hash",
  ],
  [
    "the pinned certificate",
    () => ({
      validation: certificates.trust({
        verify_certificate_hash: [new X509Certificate(certificates.client.certificatePem).fingerprint256],
      }),
    }),
    () => withKeys(certificates.client),
    undefined,
  ],
  ["no name, where one is needed", () => ({ require_sni: { value: true } }), () => ({}), "connection_error"],
])("judges %s", async (_, change, options, failure) => {
  const { validation, ...rest } = change();
  const common = {
    tls_certificates: [toWire(certificates.server)],
    ...(validation && { validation_context: validation }),
  };
  const { port, infos, errors, stats } = await serve({ common_tls_context: common, ...rest });
  const seen = await ask(port, options()).catch(() => undefined);
  await until(() => infos.length + errors.length === 1);
  if (failure === undefined) expect(seen?.said).toBe("hi");
  else {
    expect([infos.length, stats.read("ssl.connection_error"), stats.read(`ssl.${failure}`)]).toEqual([0, 1, 1]);
    if (failure.startsWith("fail_verify_e"))
      expect(errors[0]).toContain("268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED");
  }
});

it.each([
  ["a.test", "CN=a.test"],
  ["x.b.test", "CN=a.test"],
  ["x.y.b.test", "CN=a.test"],
  ["C.TEST", "CN=c.test"],
  ["unknown.test", "CN=a.test"],
])("shows %s the certificate %s", async (servername, subject) => {
  const { port } = await serve({
    common_tls_context: { tls_certificates: [toWire(certificates.server), toWire(certificates.other)] },
  });
  expect(await ask(port, { servername })).toMatchObject({ said: "hi", subject });
});

it("knows a client that takes its session up again", async () => {
  const common = { tls_certificates: [toWire(certificates.server)], validation_context: certificates.trust() };
  const { port, infos, stats } = await serve({ common_tls_context: common, require_sni: { value: true } });
  const options = { ...withKeys(certificates.client), servername: "a.test", maxVersion: "TLSv1.2" } as const;
  let session: Buffer | undefined;
  await ask(port, {
    ...options,
    onSession: (given) => {
      session = given;
    },
  });
  if (session === undefined) throw new Error("no session");
  expect((await ask(port, { ...options, session })).said).toBe("hi");
  expect(stats.read("ssl.session_reused")).toBe(1);
  expect(infos[1]).toMatchObject({ sni: "a.test", isPeerVerified: true, peer: { uriSans: [identity] } });
  expect(infos[1]?.sessionId).toMatch(/^[0-9a-f]{64}$/);
});

it("goes on without a protocol where none is shared", async () => {
  const { port } = await serve({
    common_tls_context: { tls_certificates: [toWire(certificates.server)], alpn_protocols: ["h2"] },
  });
  expect(await ask(port, { ALPNProtocols: ["other"] })).toMatchObject({ said: "hi", alpn: false });
});

it("takes the bytes that were put back", async () => {
  const tls = openServerTls();
  const tcp = await listen(
    createServer((socket) => {
      socket.once("data", (chunk) => {
        socket.pause();
        socket.unshift(chunk);
        tls.accept(socket).then(
          ({ stream }) => stream.end("hi"),
          () => socket.destroy(),
        );
      });
    }),
  );
  opened.push(tcp);
  expect((await ask(tcp.port)).said).toBe("hi");
});

it("shows a new certificate when the secret changes, and keeps the old one when the new one is no good", async () => {
  const { provider, set } = createSecrets();
  const common = { tls_certificate_sds_secret_configs: [{ name: "default", sds_config: {} }] };
  const { port, errors } = await serve({ common_tls_context: common }, { secrets: provider });
  await expect(ask(port)).rejects.toThrow();
  await until(() => errors.length === 1);
  expect(errors).toEqual(["TLS error: Secret is not supplied by SDS"]);
  set("default", { tls_certificate: toWire(certificates.server) });
  expect((await ask(port)).subject).toBe("CN=a.test");
  set("default", { tls_certificate: toWire(certificates.other) });
  expect((await ask(port)).subject).toBe("CN=c.test");
  const mixed = { ...toWire(certificates.other), private_key: { inline_string: certificates.server.privateKeyPem } };
  expect(() => set("default", { tls_certificate: mixed })).toThrow(ConfigError);
  expect((await ask(port)).subject).toBe("CN=c.test");
});

it.each<[string, () => DownstreamTlsContext]>([
  ["no certificate", () => ({})],
  [
    "names without roots",
    () => ({
      common_tls_context: {
        tls_certificates: [toWire(certificates.server)],
        validation_context: { match_subject_alt_names: [{ exact: "a" }] },
      },
    }),
  ],
  [
    "an unknown suite",
    () => ({
      common_tls_context: { tls_certificates: [toWire(certificates.server)], tls_params: { cipher_suites: ["ROT13"] } },
    }),
  ],
  [
    "a key log",
    () => ({ common_tls_context: { tls_certificates: [toWire(certificates.server)], key_log: { path: "/x" } } }),
  ],
  [
    "a key provider",
    () => ({
      common_tls_context: {
        tls_certificates: [{ ...toWire(certificates.server), private_key_provider: { provider_name: "qat" } }],
      },
    }),
  ],
  [
    "another's key",
    () => ({
      common_tls_context: {
        tls_certificates: [
          { ...toWire(certificates.server), private_key: { inline_string: certificates.other.privateKeyPem } },
        ],
      },
    }),
  ],
])("refuses %s", (_, wire) => {
  expect(() => compileDownstreamTls(wire(), createEnv())).toThrow(ConfigError);
});

it("ends the connection of a client that wants to shake hands again", async () => {
  const tls = openServerTls();
  const tcp = await listen(createServer((socket) => void tls.accept(socket)));
  opened.push(tcp);
  const client = connectTls({ port: tcp.port, host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  client.on("error", () => undefined);
  const closed = new Promise((resolve) => client.once("close", resolve));
  client.once("secureConnect", () => client.renegotiate({ rejectUnauthorized: false }, () => undefined));
  await closed;
});

/** What a client of the platform says first. */
async function readHello(): Promise<Buffer> {
  const hello = Promise.withResolvers<Buffer>();
  const listener = await listen(createServer((socket) => socket.once("data", hello.resolve)));
  opened.push(listener);
  const client = connectTls({ port: listener.port, host: "127.0.0.1" });
  client.on("error", () => undefined);
  const bytes = await hello.promise;
  client.destroy();
  return bytes;
}

it.each<[string, (client: Socket, hello: Buffer) => void]>([
  ["said nothing", (client) => client.end()],
  ["said half a hello", (client, hello) => client.end(hello.subarray(0, 50))],
  ["said hello", (client, hello) => client.end(hello)],
  [
    "heard the answer",
    (client, hello) => {
      client.once("data", () => client.end());
      client.write(hello);
    },
  ],
])("gives a handshake up that the client has left when it %s, also where sockets stay half open", async (_, leave) => {
  const { port, errors, stats } = await serve({
    common_tls_context: { tls_certificates: [toWire(certificates.server)] },
  });
  const client = connect({ port, host: "127.0.0.1" });
  leave(client, await readHello());
  await until(() => errors.length === 1);
  expect(errors[0]).toContain("connection closed during the handshake");
  expect(stats.read("ssl.connection_error")).toBe(0);
  client.destroy();
});

it("gives a handshake up whose client said hello and left before anybody looked", async () => {
  const tls = openServerTls();
  const bytes = new PassThrough();
  bytes.end(await readHello());
  await expect(tls.accept(bytes)).rejects.toThrow("connection closed during the handshake");
});

it("answers one hello in a turn of the event loop, however many come at once", async () => {
  const tls = openServerTls();
  const hello = await readHello();
  const answered = new Set<Duplex>();
  for (let client = 0; client < 5; client++) {
    const socket = new Duplex({
      read: () => undefined,
      write: (_bytes, _encoding, done) => {
        answered.add(socket);
        done();
      },
    });
    opened.push({ close: () => socket.destroy() });
    tls.accept(socket).catch(() => undefined);
    socket.push(hello);
  }
  const inTurns: number[] = [];
  for (let turn = 0; turn < 50 && answered.size < 5; turn++) {
    const before = answered.size;
    await new Promise((resolve) => setImmediate(resolve));
    if (answered.size > before) inTurns.push(answered.size - before);
  }
  expect(inTurns).toEqual([1, 1, 1, 1, 1]);
});

it("gives a client up that does not finish its handshake while another waits", async () => {
  const clock = new TestClock();
  const handshakes = new HandshakeLine(clock, { most: 1, leastMs: 1_000 });
  const wire = { common_tls_context: { tls_certificates: [toWire(certificates.server)] } };
  const { port, errors } = await serve(wire, { handshakes });
  const client = connect({ port, host: "127.0.0.1" });
  const closed = new Promise((resolve) => client.once("close", resolve));
  client.write(await readHello());
  await new Promise((resolve) => client.once("data", resolve));
  const seen = ask(port);
  await until(() => clock.running === 1);
  expect(errors).toEqual([]);
  clock.advance(1_000);
  expect((await seen).said).toBe("hi");
  await closed;
  expect(errors).toEqual(["handshake given up while others waited"]);
  expect((await ask(port)).said).toBe("hi");
});

it("gives a handshake up whose client says hello and leaves while it waits for its turn", async () => {
  const clock = new TestClock();
  const handshakes = new HandshakeLine(clock, { most: 1, leastMs: 1_000 });
  const wire = { common_tls_context: { tls_certificates: [toWire(certificates.server)] } };
  const { port, errors } = await serve(wire, { handshakes });
  const hello = await readHello();
  const first = connect({ port, host: "127.0.0.1" });
  first.write(hello);
  await new Promise((resolve) => first.once("data", resolve));
  const second = connect({ port, host: "127.0.0.1" });
  opened.push({ close: () => second.destroy() });
  second.end(hello);
  // Its end has come when it has stood in the line for a while.
  await until(() => clock.running === 1);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  first.end();
  await until(() => errors.length === 2);
  expect(errors[1]).toContain("connection closed during the handshake");
});

it("keeps to versions and suites", async () => {
  const params = {
    tls_maximum_protocol_version: "TLSv1_2",
    cipher_suites: ["[ECDHE-ECDSA-AES256-GCM-SHA384|ECDHE-ECDSA-CHACHA20-POLY1305]"],
  } as const;
  const { port, infos, errors } = await serve({
    common_tls_context: { tls_certificates: [toWire(certificates.server)], tls_params: params },
  });
  await ask(port);
  expect(infos[0]).toMatchObject({ version: "TLSv1.2", cipher: "ECDHE-ECDSA-AES256-GCM-SHA384" });
  await expect(ask(port, { minVersion: "TLSv1.3" })).rejects.toThrow();
  await until(() => errors.length === 1);
  expect(errors[0]).toMatch(/^TLS_error:\|.*UNSUPPORTED_PROTOCOL:TLS_error_end$/);
});
