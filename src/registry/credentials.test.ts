import { expect, it } from "vitest";
import { parseMeshObjects } from "../../test/support/mesh-objects.ts";
import { tlsSecret } from "../../test/support/secure-mesh.ts";
import { readConfigMapCredential, readSecretCredential } from "./credentials.ts";

const [own, other] = [await tlsSecret("a", "own"), await tlsSecret("a", "other")];
const { chain, key, roots } = own;
// PEM around an empty ASN.1 sequence: as far as a list of revocations is looked at.
const crl = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";

type Data = Readonly<Record<string, string>>;

function read(data: Data) {
  const object = { apiVersion: "v1", kind: "Secret", metadata: { name: "x", namespace: "a" }, stringData: data };
  const [secret] = parseMeshObjects(JSON.stringify(object));
  if (secret?.kind !== "Secret") throw new Error("no Secret");
  return readSecretCredential(secret);
}

const broken = (key: string, reason: string) => ({ kind: "broken", key, reason });
const isGood = { kind: "good" };
const isAbsent = { kind: "absent" };

it.each<[string, Data, object]>([
  ["type kubernetes.io/tls", { "tls.crt": chain, "tls.key": key, "ca.crt": roots }, { pair: isGood, roots: isGood }],
  ["generic keys", { cert: chain, key, cacert: roots }, { pair: isGood, roots: isGood }],
  ["roots alone", { "ca.crt": roots }, { pair: isAbsent, roots: isGood }],
  ["roots with revocations", { "ca.crt": roots, "ca.crl": crl }, { roots: isGood }],
  ["something else", { password: "hunter2" }, { pair: isAbsent, roots: isAbsent }],
  ["a generic certificate without key", { cert: chain }, { pair: isAbsent }],
  [
    "a certificate without key",
    { "tls.crt": chain, "tls.key": "" },
    { pair: broken("tls.key", "it is missing or empty") },
  ],
  ["a key without certificate", { "tls.key": key }, { pair: broken("tls.crt", "it is missing or empty") }],
  ["no PEM", { "tls.crt": "x", "tls.key": key }, { pair: broken("tls.crt", "it holds no certificate in PEM") }],
  [
    "a damaged certificate",
    { "tls.crt": chain.replace("MII", "MIA"), "tls.key": key },
    { pair: broken("tls.crt", "it holds a certificate that cannot be read") },
  ],
  [
    "a damaged key",
    { "tls.crt": chain, "tls.key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----" },
    { pair: broken("tls.key", "it holds no private key that can be read") },
  ],
  [
    "the key of another certificate",
    { "tls.crt": chain, "tls.key": other.key },
    { pair: broken("tls.key", "it is not the key of the certificate") },
  ],
  ["no roots in PEM", { "ca.crt": "x" }, { roots: broken("ca.crt", "it holds no certificate in PEM") }],
  [
    "no revocations in PEM",
    { "ca.crt": roots, "ca.crl": crl.replace("MAA=", "MAE=") },
    { roots: broken("ca.crl", "it holds no list of revocations in PEM") },
  ],
  ["a megabyte of nothing", { "tls.crt": "A".repeat(1_000_000), "tls.key": key }, { pair: { kind: "broken" } }],
])("reads a Secret with %s", (_case, data, expected) => expect(read(data)).toMatchObject(expected));

it("gives what was written, byte for byte, and hides the key", () => {
  const { pair, roots: trusted } = read({ "tls.crt": chain, "tls.key": key, "ca.crt": roots, "ca.crl": crl });
  if (pair.kind !== "good" || trusted.kind !== "good") throw new Error("not good");
  expect(Buffer.from(pair.content.chain).toString()).toBe(chain);
  expect(pair.content.privateKey.reveal()).toBe(key);
  expect(JSON.stringify(pair)).not.toContain("PRIVATE KEY");
  expect(Buffer.from(trusted.content.revocations ?? []).toString()).toBe(crl);
  expect(pair.content.validity.notAfterMs).toBeGreaterThan(pair.content.validity.notBeforeMs);
});

it("takes generic keys before the others", () => {
  const { pair } = read({ "tls.crt": other.chain, "tls.key": other.key, cert: chain, key });
  expect(pair.kind === "good" && pair.content.privateKey.reveal()).toBe(key);
});

it("reads certificates of a ConfigMap, and never a key", () => {
  const object = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "x", namespace: "a" },
    data: { "ca.crt": roots, "tls.crt": chain, "tls.key": key },
  };
  const [map] = parseMeshObjects(JSON.stringify(object));
  if (map?.kind !== "ConfigMap") throw new Error("no ConfigMap");
  expect(readConfigMapCredential(map)).toMatchObject({ pair: isAbsent, roots: isGood });
});
