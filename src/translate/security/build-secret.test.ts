import { encode, unpackAs } from "@meltemi/protos";
import { expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import { SecretText } from "../../lib/secret-text.ts";
import { parseNode } from "../../model/node.ts";
import { buildSecret, redactSecret } from "./build-secret.ts";
import { findPrivateKeyProvider } from "./private-key-provider.ts";

const secretType = "envoy.extensions.transport_sockets.tls.v3.Secret";
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const validity = { notBeforeMs: 0, notAfterMs: 1 };
const pair = {
  kind: "pair" as const,
  content: { chain: bytes("chain"), privateKey: new SecretText("key"), ocspStaple: bytes("staple"), validity },
};

it("carries certificate, key and staple", () => {
  const secret = buildSecret("kubernetes://a", pair, undefined);
  expect(secret).toEqual({
    name: "kubernetes://a",
    tls_certificate: {
      certificate_chain: { inline_bytes: bytes("chain") },
      private_key: { inline_bytes: Buffer.from("key") },
      ocsp_staple: { inline_bytes: bytes("staple") },
    },
  });
  expect(encode(secretType, secret).length).toBeGreaterThan(20);
  expect(JSON.stringify(redactSecret(secret))).not.toContain(JSON.stringify([...Buffer.from("key")]));
  expect(redactSecret(secret).tls_certificate?.private_key).toEqual({ inline_string: "[redacted]" });
});

it("carries roots and revocations", () => {
  const content = { certificates: bytes("roots"), revocations: bytes("crl"), validity };
  const secret = buildSecret("a", { kind: "roots", content }, undefined);
  expect(secret.validation_context).toEqual({
    trusted_ca: { inline_bytes: bytes("roots") },
    crl: { inline_bytes: bytes("crl") },
  });
  expect(redactSecret(secret)).toEqual(secret);
});

it.each([
  ["cryptomb", "CryptoMbPrivateKeyMethodConfig"],
  ["qat", "QatPrivateKeyMethodConfig"],
] as const)("gives the key to the provider %s where the mesh has it", (name, message) => {
  const { tls_certificate: certificate } = buildSecret("a", pair, { [name]: { pollDelay: "1.5s", fallback: true } });
  expect(certificate?.private_key).toBeUndefined();
  expect(certificate?.ocsp_staple).toBeUndefined();
  const { provider_name: provider, typed_config: packed, fallback } = certificate?.private_key_provider ?? {};
  expect([provider, fallback]).toEqual([name, true]);
  const type = `envoy.extensions.private_key_providers.${name}.v3alpha.${message}` as const;
  expect(unpackAs(type as Parameters<typeof unpackAs>[0], packed ?? {})).toMatchObject({
    poll_delay: { seconds: 1, nanos: 500_000_000 },
    private_key: { inline_bytes: expect.anything() },
  });
});

it("asks the proxy's own settings first, and proxies that lack a provider for none", () => {
  const mesh = {
    ...defaultMeshConfig,
    defaultConfig: { ...defaultMeshConfig.defaultConfig, privateKeyProvider: { qat: { pollDelay: "1s" } } },
  };
  const find = (metadata: Readonly<Record<string, unknown>>, extensions: readonly string[] = []) => {
    const listed = extensions.map((name) => ({ name }));
    const proxy = parseNode({ id: "router~10.0.0.1~a.b~b.svc.cluster.local", metadata, extensions: listed });
    if (typeof proxy === "string") throw new Error(proxy);
    return findPrivateKeyProvider(mesh, proxy);
  };
  expect(find({})).toEqual({ qat: { pollDelay: "1s" } });
  expect(find({ PROXY_CONFIG: { privateKeyProvider: { cryptomb: { pollDelay: "2s" } } } })).toEqual({
    cryptomb: { pollDelay: "2s" },
  });
  expect(find({ PROXY_CONFIG: { privateKeyProvider: "x" } })).toEqual({ qat: { pollDelay: "1s" } });
  expect(find({}, ["envoy.filters.http.router"])).toBeUndefined();
  expect(find({}, ["qat"])).toBeDefined();
});
