/** Checks 1, 5, 7 to 11 and 29 of the certificate authority: what a certificate looks like that it issues. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyUsage,
} from "@peculiar/asn1-x509";
import { expect, test } from "vitest";
import { type Authority, createRootAuthority, parseAuthority } from "../../src/ca/authority.ts";
import { loadX509 } from "../../src/ca/x509-library.ts";
import {
  certificateOf,
  chainOf,
  createCertificateRig,
  dayMs,
  hourMs,
  type RigOptions,
  refusalIn,
  startMs,
} from "../support/certificate-rig.ts";
import { createRequest, hashOfKey, requested } from "../support/signing-requests.ts";

const createRoot = (lifetimeMs = 3650 * dayMs): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs, nowMs: startMs });
const root = await createRoot();

async function issue(csr = createRequest(), options: RigOptions = {}) {
  const rig = await createCertificateRig({ authority: root, ...options });
  const chain = chainOf(await rig.call({ csr }));
  return readLeaf(chain);
}

function readLeaf(chain: readonly string[]) {
  const leaf = new X509Certificate(chain[0] ?? "");
  const { tbsCertificate, signatureAlgorithm } = AsnConvert.parse(leaf.raw, Certificate);
  const extensions = tbsCertificate.extensions ?? [];
  const findExtension = (id: string) => extensions.find(({ extnID }) => extnID === id);
  return { chain, leaf, tbsCertificate, signatureAlgorithm, extensions, findExtension };
}

test("CA-1 the certificate names the caller, whatever the request says", async () => {
  const csr = createRequest({
    organization: "system:masters",
    commonName: "admin",
    extensions: [
      requested.names(
        { uniformResourceIdentifier: "spiffe://cluster.local/ns/istio-system/sa/istiod" },
        { dNSName: "istiod.istio-system.svc" },
        { iPAddress: "10.0.0.1" },
      ),
    ],
  });
  const { leaf, extensions, findExtension, tbsCertificate } = await issue(csr);
  expect(leaf.subjectAltName).toBe("URI:spiffe://cluster.local/ns/shop/sa/cart");
  expect(tbsCertificate.subject).toHaveLength(0);
  expect(findExtension(id_ce_subjectAltName)?.critical).toBe(true);
  expect(extensions.map(({ extnID }) => extnID)).toEqual([
    id_ce_basicConstraints,
    id_ce_keyUsage,
    id_ce_extKeyUsage,
    id_ce_subjectAltName,
    id_ce_authorityKeyIdentifier,
    id_ce_subjectKeyIdentifier,
  ]);
});

test("CA-1 two callers with one request get one name each", async () => {
  const rig = await createCertificateRig({ authority: root });
  const csr = createRequest();
  for (const account of ["shop/cart", "bank/vault"]) {
    const { leaf } = readLeaf(chainOf(await rig.call({ csr }, certificateOf(account))));
    const [namespace, name] = account.split("/");
    expect(leaf.subjectAltName).toBe(`URI:spiffe://cluster.local/ns/${namespace}/sa/${name}`);
  }
});

test("CA-5 the certificate is no authority and says for what it is", async () => {
  const { leaf, findExtension } = await issue();
  expect(leaf.ca).toBe(false);
  const [constraints, usage, extended] = [id_ce_basicConstraints, id_ce_keyUsage, id_ce_extKeyUsage].map(findExtension);
  if (constraints === undefined || usage === undefined || extended === undefined) throw new Error("not all are there");
  expect([constraints.critical, usage.critical, extended.critical]).toEqual([true, true, false]);
  expect(AsnConvert.parse(constraints.extnValue.buffer, BasicConstraints).cA).toBe(false);
  expect(AsnConvert.parse(usage.extnValue.buffer, KeyUsage).toJSON()).toEqual(["digitalSignature", "keyEncipherment"]);
  expect([...AsnConvert.parse(extended.extnValue.buffer, ExtendedKeyUsage)]).toEqual([
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
  ]);
});

test.each([
  ["EC", () => generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["RSA", () => generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ["Ed25519", () => generateKeyPairSync("ed25519")],
])("the certificate is for the %s key of the request", async (_case, createKeys) => {
  const keys = createKeys();
  const { leaf } = await issue(createRequest({ keys }));
  expect(hashOfKey(leaf.publicKey)).toBe(hashOfKey(keys.publicKey));
  expect(leaf.checkPrivateKey(keys.privateKey)).toBe(true);
  expect(leaf.verify(new X509Certificate(root.certificate).publicKey)).toBe(true);
});

test.each([
  ["not at all", undefined, dayMs],
  ["for 0 seconds", 0, dayMs],
  ["for less than 0 seconds", -5, dayMs],
  ["for an hour", 3600, hourMs],
  ["for 90 days", 90 * 86_400, 90 * dayMs],
])("CA-7 who asks %s gets a certificate of that time, or of a day", async (_case, lifetime, expected) => {
  const { call } = await createCertificateRig({ authority: root });
  const { leaf } = readLeaf(chainOf(await call(lifetime === undefined ? {} : { lifetime })));
  expect(leaf.validToDate.getTime() - startMs).toBe(expected);
});

test.each([90 * 86_400 + 1, Number.MAX_SAFE_INTEGER])("CA-7 who asks for %s seconds gets none", async (lifetime) => {
  const { call, counts } = await createCertificateRig({ authority: root });
  expect(refusalIn(await call({ lifetime }))).toMatch(/^INVALID_ARGUMENT CSR signing error \(the lifetime/);
  expect(counts).toContain("citadel_server_csr_sign_err_count TTL_ERROR");
});

test("CA-7 a certificate ends with the one that signs it", async () => {
  const { leaf } = await issue(createRequest(), { authority: await createRoot(hourMs) });
  expect(leaf.validToDate.getTime()).toBe(startMs + hourMs);
});

test("CA-8 a signer that has expired signs nothing", async () => {
  const rig = await createCertificateRig({ authority: await createRoot(hourMs) });
  rig.clock.advance(hourMs);
  expect(refusalIn(await rig.call())).toBe("INTERNAL CSR signing error");
  expect(rig.lines.join("\n")).toContain("a certificate could not be signed");
  expect(rig.counts).toContain("citadel_server_csr_sign_err_count CERT_GEN_ERROR");
});

test("CA-9 a certificate holds from two minutes ago", async () => {
  expect((await issue()).leaf.validFromDate.getTime()).toBe(startMs - 120_000);
});

test("CA-10 serial numbers are 128 random bits", async () => {
  const { call } = await createCertificateRig({ authority: root });
  const csr = createRequest();
  const serials: bigint[] = [];
  for (let round = 0; round < 16; round++) {
    const { leaf } = readLeaf(chainOf(await call({ csr })));
    expect(leaf.serialNumber).toHaveLength(32);
    serials.push(BigInt(`0x${leaf.serialNumber}`));
  }
  expect(new Set(serials).size).toBe(16);
  // Every bit is 0 in some and 1 in others, save once in two billion runs (but the first byte is never 0).
  const bits = Array.from({ length: 128 }, (_, bit) => serials.filter((serial) => (serial >> BigInt(bit)) & 1n).length);
  expect(bits.filter((count) => count === 0 || count === 16).length).toBeLessThan(4);
});

interface Kind {
  readonly algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams | { readonly name: "Ed25519" };
  readonly oid: string;
}
const rsaKind = (modulusLength: number): Kind["algorithm"] => ({
  ...{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength },
  publicExponent: new Uint8Array([1, 0, 1]),
});

test.each<[string, Kind]>([
  ["P-256", { algorithm: { name: "ECDSA", namedCurve: "P-256" }, oid: "1.2.840.10045.4.3.2" }],
  ["P-384", { algorithm: { name: "ECDSA", namedCurve: "P-384" }, oid: "1.2.840.10045.4.3.3" }],
  ["P-521", { algorithm: { name: "ECDSA", namedCurve: "P-521" }, oid: "1.2.840.10045.4.3.4" }],
  ["RSA", { algorithm: rsaKind(2048), oid: "1.2.840.113549.1.1.11" }],
  ["Ed25519", { algorithm: { name: "Ed25519" }, oid: "1.3.101.112" }],
])("CA-11 an authority with a key of %s signs as that key does", async (_case, { algorithm, oid }) => {
  const authority = await createIntermediate(root, algorithm);
  for (const keys of [generateKeyPairSync("ed25519"), generateKeyPairSync("ec", { namedCurve: "P-256" })]) {
    const { leaf, signatureAlgorithm, tbsCertificate } = await issue(createRequest({ keys }), { authority });
    expect([signatureAlgorithm.algorithm, tbsCertificate.signature.algorithm]).toEqual([oid, oid]);
    expect(leaf.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
  }
});

test("CA-29 the chain is leaf, intermediates and roots, one certificate in each text", async () => {
  const above = await createIntermediate(root, { name: "ECDSA", namedCurve: "P-256" });
  const below = await createIntermediate(above, { name: "ECDSA", namedCurve: "P-256" });
  const other = await createRoot();
  const authority = { ...below, roots: `${root.roots}${other.roots}` };
  const { chain } = await issue(createRequest(), { authority });
  expect(chain).toHaveLength(4);
  const [leaf, first, second, roots] = chain;
  expect([first, second, roots]).toEqual([below.certificate, above.certificate, authority.roots]);
  for (const text of chain.slice(0, 3)) expect(text.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
  const [leafCertificate, signer] = [new X509Certificate(leaf ?? ""), new X509Certificate(first ?? "")];
  expect(leafCertificate.checkIssued(signer)).toBe(true);
});

test("the certificate points to the key that signed it, as that one's certificate names it", async () => {
  const authority = await createIntermediate(root, { name: "ECDSA", namedCurve: "P-256" });
  const { findExtension } = await issue(createRequest(), { authority });
  const pointer = findExtension(id_ce_authorityKeyIdentifier);
  const named = readLeaf([authority.certificate]).findExtension(id_ce_subjectKeyIdentifier);
  if (pointer === undefined || named === undefined) throw new Error("not all are there");
  const { keyIdentifier } = AsnConvert.parse(pointer.extnValue.buffer, AuthorityKeyIdentifier);
  expect(Buffer.from(keyIdentifier?.buffer ?? new ArrayBuffer(0))).toEqual(
    Buffer.from(named.extnValue.buffer).subarray(2),
  );
});

/** An authority below another, with what stands between it and the root. */
async function createIntermediate(above: Authority, algorithm: Kind["algorithm"]): Promise<Authority> {
  const x509 = await loadX509();
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const signing = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `O=below ${above.chain.length}`,
    issuer: new x509.X509Certificate(above.certificate).subjectName,
    notBefore: new Date(startMs - hourMs),
    notAfter: new Date(startMs + 100 * dayMs),
    publicKey: keys.publicKey,
    signingKey: createPrivateKey(above.privateKey.reveal()).toCryptoKey(signing, false, ["sign"]),
    signingAlgorithm: signing,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectKeyIdentifierExtension("0123456789abcdef0123"),
    ],
  });
  const pem = `${certificate.toString("pem").trimEnd()}\n`;
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  expect(createPublicKey(key).asymmetricKeyType).toBe(new X509Certificate(pem).publicKey.asymmetricKeyType);
  return parseAuthority(
    {
      certificate: pem,
      privateKey: key.export({ type: "pkcs8", format: "pem" }).toString(),
      chain: `${above.certificate}${above.chain}`,
      roots: above.roots,
    },
    startMs,
  );
}
