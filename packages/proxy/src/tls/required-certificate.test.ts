import { createHash, X509Certificate } from "node:crypto";
import { createServer } from "node:net";
import { connect } from "node:tls";
import { packAny } from "@meltemi/protos";
import type { CertificateValidationContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { afterEach, beforeAll, expect, it } from "vitest";
import { createTestStats, listen, noSecrets, until } from "../../test/support/pool-rig.ts";
import {
  createTestCertificates,
  identity,
  type TestCertificates,
  toWire,
  withKeys,
} from "../../test/support/tls-rig.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { compileDownstreamTls } from "./downstream.ts";
import { HandshakeLine } from "./handshake-line.ts";

const opened: { close(): unknown }[] = [];
let certificates: TestCertificates;

beforeAll(async () => {
  certificates = await createTestCertificates();
});

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

/** What a server that requires no certificate counts for a client that shows this one, or none. */
async function judge(context: CertificateValidationContext, client: "none" | "client" | "stranger"): Promise<string> {
  const stats = createTestStats();
  const handshakes = new HandshakeLine(systemClock);
  const tls = compileDownstreamTls(
    {
      require_client_certificate: { value: false },
      common_tls_context: { tls_certificates: [toWire(certificates.server)], validation_context: context },
    },
    { secrets: noSecrets, log: silentLog, listenerStats: stats, handshakes },
  );
  let outcome = "";
  const tcp = await listen(
    createServer({ allowHalfOpen: true }, (socket) => {
      tls.accept(socket).then(
        ({ stream, info }) => {
          outcome = `taken${info.peer === undefined ? "" : ", asked"}`;
          stream.end();
        },
        () => {
          const names = ["fail_verify_no_cert", "fail_verify_error", "fail_verify_san", "fail_verify_cert_hash"];
          outcome = names.find((name) => stats.read(`ssl.${name}`) === 1) ?? "refused";
          socket.destroy();
        },
      );
    }),
  );
  const keys = client === "none" ? {} : withKeys(certificates[client]);
  const socket = connect({ ...keys, port: tcp.port, host: "127.0.0.1", rejectUnauthorized: false });
  socket.on("error", () => undefined);
  socket.resume();
  opened.push(handshakes, tls, tcp, { close: () => socket.destroy() });
  await until(() => outcome !== "");
  return outcome;
}

const names: CertificateValidationContext = {
  match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: identity } }],
};
const untrusted: CertificateValidationContext = { trust_chain_verification: "ACCEPT_UNTRUSTED" };

function pin(): CertificateValidationContext {
  return { verify_certificate_hash: [new X509Certificate(certificates.client.certificatePem).fingerprint256] };
}

function pinKey(): CertificateValidationContext {
  const key = new X509Certificate(certificates.client.certificatePem).publicKey;
  const spki = createHash("sha256").update(key.export({ type: "spki", format: "der" }));
  return { verify_certificate_spki: [spki.digest("base64")] };
}

function spiffe(): CertificateValidationContext {
  const trust_bundle = { inline_string: certificates.authority.rootPem };
  const typed_config = packAny("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", {
    trust_domains: [{ name: "cluster.local", trust_bundle }],
  });
  return { custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config } };
}

// As a real Envoy 1.40 does with require_client_certificate: false.
it.each<[string, () => CertificateValidationContext, "none" | "client" | "stranger", string]>([
  ["nobody by roots alone", () => certificates.trust(), "none", "taken"],
  ["nobody by names", () => certificates.trust(names), "none", "fail_verify_no_cert"],
  ["a named one by names", () => certificates.trust(names), "client", "taken, asked"],
  ["nobody by a pin", pin, "none", "fail_verify_no_cert"],
  ["nobody by roots and a pin", () => certificates.trust(pin()), "none", "fail_verify_no_cert"],
  ["nobody by a pinned key", () => certificates.trust(pinKey()), "none", "fail_verify_no_cert"],
  ["the pinned one by a pin", pin, "client", "taken, asked"],
  ["nobody by names that need not be trusted", () => certificates.trust({ ...names, ...untrusted }), "none", "taken"],
  ["nobody by a pin that need not be trusted", () => ({ ...pin(), ...untrusted }), "none", "taken"],
  ["anybody who need not be trusted", () => untrusted, "stranger", "taken, asked"],
  ["nobody by trust domains", spiffe, "none", "fail_verify_no_cert"],
  ["one of a trust domain", spiffe, "client", "taken, asked"],
  ["nobody by trust domains all the same", () => ({ ...spiffe(), ...untrusted }), "none", "fail_verify_no_cert"],
  ["a stranger by trust domains all the same", () => ({ ...spiffe(), ...untrusted }), "stranger", "fail_verify_error"],
])("judges %s", async (_, context, client, expected) => {
  expect(await judge(context(), client)).toBe(expected);
});

it("goes by the first of several identities", async () => {
  const two = await certificates.authority.issue(identity, "spiffe://other.test/ns/a/sa/b");
  certificates = { ...certificates, client: two };
  expect(await judge(spiffe(), "client")).toBe("taken, asked");
});
