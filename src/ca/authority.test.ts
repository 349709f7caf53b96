import { createPrivateKey, generateKeyPairSync, KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { CertificateError, parseCertificates } from "../lib/certificate.ts";
import { dateOf } from "../lib/clock.ts";
import { type Authority, createRootAuthority, issueServingCertificate, parseAuthority } from "./authority.ts";
import { loadX509 } from "./x509-library.ts";

/** The first instant of 2030. */
const nowMs = 1_893_456_000_000;
const dayMs = 86_400_000;
const createRoot = (lifetimeMs = 3650 * dayMs): Promise<Authority> =>
  createRootAuthority({ organization: "cluster.local", lifetimeMs, nowMs });
const textsOf = (authority: Authority) => ({ ...authority, privateKey: authority.privateKey.reveal() });

describe("a root", () => {
  test("is a P-256 authority of its trust domain that signed itself, valid from two minutes ago", async () => {
    const root = await createRoot();
    const certificate = new X509Certificate(root.certificate);
    expect(certificate.subject).toBe("O=cluster.local");
    expect(certificate.issuer).toBe("O=cluster.local");
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect(certificate.validFromDate.getTime()).toBe(nowMs - 120_000);
    expect(certificate.validToDate.getTime()).toBe(nowMs + 3650 * dayMs);
    expect(root.roots).toBe(root.certificate);
    expect(root.chain).toBe("");
  });

  test("is read back as it was", async () => {
    const root = await createRoot();
    const read = parseAuthority(textsOf(root), nowMs);
    expect(textsOf(read)).toEqual(textsOf(root));
  });

  test("does not show its key", async () => {
    const root = await createRoot();
    expect(root.privateKey.reveal()).toContain("PRIVATE KEY");
    for (const shown of [inspect(root, { depth: 9 }), JSON.stringify(root), String(root.privateKey)]) {
      expect(shown).toContain("[redacted]");
      expect(shown).not.toContain("PRIVATE KEY");
    }
  });
});

describe("a serving certificate", () => {
  const issue = (authority: Authority, lifetimeMs = 30 * dayMs, atMs = nowMs) =>
    issueServingCertificate(authority, {
      names: ["meltemi.istio-system.svc", "istiod.istio-system.svc", "127.0.0.1", "::1"],
      lifetimeMs,
      nowMs: atMs,
    });

  test("names the server, leads to the root and cannot sign", async () => {
    const root = await createRoot();
    const issued = await issue(root);
    const leaf = new X509Certificate(issued.chain);
    const signer = new X509Certificate(root.certificate);
    expect(leaf.checkIssued(signer)).toBe(true);
    expect(leaf.verify(signer.publicKey)).toBe(true);
    expect(leaf.checkPrivateKey(createPrivateKey(issued.privateKey.reveal()))).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.subject ?? "").toBe("");
    expect(leaf.checkHost("meltemi.istio-system.svc")).toBe("meltemi.istio-system.svc");
    expect(leaf.checkHost("other.istio-system.svc")).toBeUndefined();
    expect(leaf.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect(leaf.checkIP("::1")).toBe("::1");
    expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    expect(leaf.validFromDate.getTime()).toBe(nowMs - 120_000);
    expect(leaf.validToDate.getTime()).toBe(nowMs + 30 * dayMs);
    // DER of the extension's head: its OID, then TRUE for critical, because there is no subject.
    expect(leaf.raw.includes(Buffer.from("0603551d110101ff", "hex"))).toBe(true);
  });

  test("has a serial number of 128 random bits", async () => {
    const root = await createRoot();
    const serials = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const issued = await issue(root);
      expect(new X509Certificate(issued.chain).serialNumber.toLowerCase()).toBe(issued.serialNumber);
      expect(issued.serialNumber).toHaveLength(32);
      serials.add(issued.serialNumber);
    }
    expect(serials.size).toBe(8);
  });

  test("does not outlive its signer, and is not issued by one that has expired", async () => {
    const root = await createRoot(10 * dayMs);
    expect((await issue(root)).notAfterMs).toBe(nowMs + 10 * dayMs);
    await expect(issue(root, dayMs, nowMs + 10 * dayMs)).rejects.toThrow("signing certificate has expired");
  });

  test("needs a name", async () => {
    const root = await createRoot();
    const options = { names: [], lifetimeMs: dayMs, nowMs };
    await expect(issueServingCertificate(root, options)).rejects.toThrow(CertificateError);
  });
});

describe("an authority that is stored or plugged in", () => {
  test.each([
    ["no certificate", { certificate: "" }, "holds no certificate"],
    [
      "a damaged certificate",
      { certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" },
      "cannot be read",
    ],
    ["no key", { privateKey: "" }, "holds no private key"],
    [
      "a damaged key",
      { privateKey: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
      "holds no private key",
    ],
    ["a damaged root", { roots: "nonsense" }, "the root certificate holds no certificate"],
  ])("is refused with %s", async (_case, change, reason) => {
    const texts = { ...textsOf(await createRoot()), ...change };
    expect(() => parseAuthority(texts, nowMs)).toThrow(reason);
    expect(() => parseAuthority(texts, nowMs)).toThrow(CertificateError);
  });

  test("is refused with another's key or root, out of its time, and where it may not sign", async () => {
    const [own, other] = [textsOf(await createRoot(dayMs)), textsOf(await createRoot())];
    expect(() => parseAuthority({ ...own, privateKey: other.privateKey }, nowMs)).toThrow("does not match");
    expect(() => parseAuthority({ ...own, roots: other.roots }, nowMs)).toThrow("does not lead to the root");
    expect(() => parseAuthority(own, nowMs + dayMs)).toThrow("has expired");
    expect(() => parseAuthority(own, nowMs - 3_600_000)).toThrow("not valid yet");
    const leaf = await issueServingCertificate(await createRoot(), { names: ["a.b"], lifetimeMs: dayMs, nowMs });
    const texts = { ...own, certificate: leaf.chain, privateKey: leaf.privateKey.reveal() };
    expect(() => parseAuthority(texts, nowMs)).toThrow("may not sign");
  });

  test("keeps keys out of its errors", async () => {
    const own = textsOf(await createRoot());
    const secret = generateKeyPairSync("ed25519", {
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    }).privateKey;
    try {
      parseAuthority({ ...own, privateKey: secret }, nowMs);
      expect.unreachable();
    } catch (cause) {
      expect(inspect(cause)).not.toContain(secret.split("\n")[1]);
    }
  });
});

describe("an authority below another root, with another kind of key", () => {
  test.each([
    [
      "RSA in PKCS #1",
      { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
      "pkcs1",
    ],
    ["P-384 in SEC 1", { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }, "sec1"],
    ["Ed25519 in PKCS #8", { name: "Ed25519" }, "pkcs8"],
  ] as const)("signs with %s and sends the way up to the root", async (_case, algorithm, keyForm) => {
    const root = await createRoot();
    const middle = await createIntermediate(root, algorithm, keyForm);
    const authority = parseAuthority(
      { ...middle, chain: `${middle.certificate}${root.certificate}`, roots: root.roots },
      nowMs,
    );
    expect(authority.chain).toBe(middle.certificate);
    const issued = await issueServingCertificate(authority, { names: ["a.b"], lifetimeMs: dayMs, nowMs });
    const [leaf, above] = parseCertificates(issued.chain, "the chain");
    expect(leaf.checkIssued(new X509Certificate(middle.certificate))).toBe(true);
    expect(leaf.verify(new X509Certificate(middle.certificate).publicKey)).toBe(true);
    expect(above?.fingerprint256).toBe(new X509Certificate(middle.certificate).fingerprint256);
    expect(() => parseAuthority({ ...middle, chain: "", roots: middle.certificate }, nowMs)).not.toThrow();
  });

  test("is refused with a short RSA key", async () => {
    const algorithm = {
      name: "RSASSA-PKCS1-v1_5",
      hash: "SHA-256",
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
    };
    const root = await createRoot();
    const middle = await createIntermediate(root, algorithm, "pkcs8");
    expect(() => parseAuthority({ ...middle, chain: "", roots: root.roots }, nowMs)).toThrow("less than 2048 bits");
  });
});

async function createIntermediate(
  root: Authority,
  algorithm: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams | { readonly name: "Ed25519" },
  keyForm: "pkcs1" | "sec1" | "pkcs8",
) {
  const x509 = await loadX509();
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const signingKey = createPrivateKey(root.privateKey.reveal());
  const signing = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "O=between",
    issuer: new x509.X509Certificate(root.certificate).subjectName,
    notBefore: dateOf(nowMs - dayMs),
    notAfter: dateOf(nowMs + 100 * dayMs),
    publicKey: keys.publicKey,
    signingKey: signingKey.toCryptoKey(signing, false, ["sign"]),
    signingAlgorithm: signing,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: keyForm, format: "pem" } as {
    type: "pkcs8";
    format: "pem";
  });
  return { certificate: `${certificate.toString("pem").trimEnd()}\n`, privateKey: String(key) };
}
