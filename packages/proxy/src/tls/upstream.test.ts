import { connect as connectTcp, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { packAny } from "@meltemi/protos";
import type {
  CertificateValidationContext,
  UpstreamTlsContext,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { afterEach, beforeAll, expect, it } from "vitest";
import { createTestStats, listen, noSecrets, type TestStats } from "../../test/support/pool-rig.ts";
import {
  createTestCertificates,
  identity,
  type TestCertificates,
  toWire,
  withKeys,
} from "../../test/support/tls-rig.ts";
import { silentLog } from "../lib/log.ts";
import type { TlsInfo } from "../listeners/connection.ts";
import { compileUpstreamTls } from "./upstream.ts";

const opened: { close(): unknown }[] = [];
let certificates: TestCertificates;

beforeAll(async () => {
  certificates = await createTestCertificates();
});

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

interface Shown {
  readonly sni: unknown;
  readonly client: string;
  readonly isReused: boolean;
}

async function serveTls(
  asksClients = false,
  shown = certificates.server,
): Promise<{ readonly port: number; readonly shown: Shown[] }> {
  const seen: Shown[] = [];
  const tls = createTlsServer(
    {
      ...withKeys(shown),
      ca: certificates.authority.rootPem,
      requestCert: asksClients,
      rejectUnauthorized: asksClients,
      ALPNProtocols: ["h2", "http/1.1"],
    },
    (socket) => {
      seen.push({
        sni: socket.servername,
        client: socket.getPeerX509Certificate()?.subjectAltName ?? "",
        isReused: socket.isSessionReused(),
      });
      socket.end("hi");
    },
  );
  tls.on("tlsClientError", () => undefined);
  const listening = await listen(tls);
  opened.push(listening);
  return { port: listening.port, shown: seen };
}

function compile(wire: UpstreamTlsContext): {
  readonly stats: TestStats;
  readonly tls: ReturnType<typeof compileUpstreamTls>;
} {
  const stats = createTestStats();
  const tls = compileUpstreamTls(wire, { secrets: noSecrets, log: silentLog, stats });
  opened.push(tls);
  return { stats, tls };
}

async function dial(port: number): Promise<Socket> {
  const socket = connectTcp({ port, host: "127.0.0.1" });
  opened.push({ close: () => socket.destroy() });
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

async function shake(tls: ReturnType<typeof compileUpstreamTls>, port: number, options: object = {}): Promise<TlsInfo> {
  const { stream, info } = await tls.connect(await dial(port), options);
  await new Promise((resolve) => stream.resume().once("end", resolve));
  return info;
}

it.each<[string, () => CertificateValidationContext, object, string | undefined]>([
  ["a server of known roots", () => certificates.trust(), {}, undefined],
  [
    "a server of strange roots",
    () => ({ trusted_ca: { inline_string: certificates.strange.rootPem } }),
    {},
    "fail_verify_error",
  ],
  [
    "one of the names",
    () => certificates.trust({ match_subject_alt_names: [{ exact: "nobody.test" }, { exact: "a.test" }] }),
    {},
    undefined,
  ],
  [
    "other names",
    () => certificates.trust({ match_subject_alt_names: [{ exact: "other.test" }] }),
    {},
    "fail_verify_san",
  ],
  ["a name by its wildcard", () => certificates.trust(), { sans: ["x.b.test"] }, undefined],
  ["not two labels by a wildcard", () => certificates.trust(), { sans: ["x.y.b.test"] }, "fail_verify_san"],
  [
    "the names of the request in place of the configured ones",
    () => certificates.trust({ match_subject_alt_names: [{ exact: "a.test" }] }),
    { sans: ["z.test"] },
    "fail_verify_san",
  ],
  [
    "a suffix",
    () => certificates.trust({ match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { suffix: ".test" } }] }),
    {},
    undefined,
  ],
  [
    "not a DNS name as a URI",
    () => certificates.trust({ match_typed_subject_alt_names: [{ san_type: "URI", matcher: { suffix: ".test" } }] }),
    {},
    "fail_verify_san",
  ],
  ["not too long a way to the roots", () => certificates.trust({ max_verify_depth: { value: 0 } }), {}, undefined],
  ["anyone where nothing is asked", () => ({}), {}, undefined],
])("knows %s", async (_, validation, options, failure) => {
  const { port } = await serveTls();
  const { tls, stats } = compile({ sni: "a.test", common_tls_context: { validation_context: validation() } });
  if (failure === undefined) {
    expect((await shake(tls, port, options)).peer?.dnsSans).toEqual(["a.test", "*.b.test"]);
    return;
  }
  await expect(shake(tls, port, options)).rejects.toThrow(
    /^TLS_error:\|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED.*:TLS_error_end$/,
  );
  expect([stats.read(`ssl.${failure}`), stats.read("ssl.connection_error")]).toEqual([1, 1]);
});

it("shows its certificate, asks for a name and takes the session up again", async () => {
  const { port, shown } = await serveTls(true);
  const { tls, stats } = compile({
    sni: "a.test",
    common_tls_context: {
      tls_certificates: [toWire(certificates.client)],
      validation_context: certificates.trust(),
      alpn_protocols: ["http/1.1"],
    },
  });
  expect(await shake(tls, port)).toMatchObject({
    alpn: "http/1.1",
    sni: "a.test",
    isPeerVerified: true,
    version: "TLSv1.2",
  });
  expect(await shake(tls, port, { alpn: ["h2"] })).toMatchObject({ alpn: "h2", isPeerVerified: true });
  await shake(tls, port, { sni: "x.b.test" });
  // The platform's server forgets the name of a session that is taken up again.
  expect([shown[0]?.sni, shown[2]?.sni]).toEqual(["a.test", "x.b.test"]);
  expect(shown[0]?.client).toContain(identity);
  expect([shown[1]?.isReused, stats.read("ssl.session_reused")]).toEqual([true, 1]);
});

it("reports in Envoy's words what a server that speaks no TLS, or wants a certificate, does", async () => {
  const plain = await listen(createServer((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")));
  opened.push(plain);
  const { tls } = compile({ common_tls_context: {} });
  await expect(shake(tls, plain.port)).rejects.toThrow(
    "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end",
  );
  const { port } = await serveTls(true);
  await expect(shake(tls, port)).rejects.toThrow(/handshake|TLS_error|closed/);
});

it("believes a trust domain's own roots alone", async () => {
  const workload = await certificates.authority.issue("spiffe://one.test/ns/a/sa/b");
  const { port } = await serveTls(false, workload);
  const validator = (one: string, two: string): CertificateValidationContext => ({
    custom_validator_config: {
      name: "envoy.tls.cert_validator.spiffe",
      typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", {
        trust_domains: [
          { name: "one.test", trust_bundle: { inline_string: one } },
          { name: "two.test", trust_bundle: { inline_string: two } },
        ],
      }),
    },
  });
  const right = compile({
    common_tls_context: { validation_context: validator(certificates.authority.rootPem, certificates.strange.rootPem) },
  });
  expect((await shake(right.tls, port)).isPeerVerified).toBe(true);
  const wrong = compile({
    common_tls_context: { validation_context: validator(certificates.strange.rootPem, certificates.authority.rootPem) },
  });
  await expect(shake(wrong.tls, port)).rejects.toThrow("CERTIFICATE_VERIFY_FAILED");
});
