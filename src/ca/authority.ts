/**
 * The core of the certificate authority: makes a root, checks one that was given, and issues certificates for servers and
 * workloads.
 * The instant is an argument; keys and serial numbers come from the platform's source of randomness.
 */
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import {
  CertificateError,
  checkPair,
  formatCertificate,
  parseCertificates,
  parsePrivateKey,
} from "../lib/certificate.ts";
import { dateOf } from "../lib/clock.ts";
import { SecretText } from "../lib/secret-text.ts";
import { formatSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";
import { loadX509, type X509Library } from "./x509-library.ts";

/** What signs certificates, and whom its clients trust. All certificates are PEM. */
export interface Authority {
  /** The certificate of the key that signs. */
  readonly certificate: string;
  /** PKCS #8 in PEM. */
  readonly privateKey: SecretText;
  /** From the signing certificate up to the one below the root, to be sent with what it signs; "" for a root. */
  readonly chain: string;
  /** The roots that clients are to trust. */
  readonly roots: string;
}

export interface RootOptions {
  /** Trust domain, such as "cluster.local": the O of the subject, as Istio has it. */
  readonly organization: string;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export interface IssueOptions {
  /** DNS names and IP addresses of the server; at least one. */
  readonly names: readonly string[];
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export interface WorkloadIssueOptions {
  readonly identity: SpiffeIdentity;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

/** A certificate with its key. */
export interface IssuedCertificate {
  /** The certificate and what stands between it and the root, PEM, the certificate first. */
  readonly chain: string;
  /** PKCS #8 in PEM. */
  readonly privateKey: SecretText;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hexadecimal. */
  readonly serialNumber: string;
}

/** Clocks of a cluster differ: certificates hold from a little before now (Istio: 2 minutes). */
const clockSkewMs = 2 * 60_000;
const curve = { name: "ECDSA", namedCurve: "P-256" } as const;

type SigningAlgorithm =
  | { readonly name: "ECDSA"; readonly namedCurve: string; readonly hash: string }
  | { readonly name: "RSASSA-PKCS1-v1_5"; readonly hash: string }
  | { readonly name: "Ed25519" };

/** Makes a root that signs itself, with a new ECDSA P-256 key. */
export async function createRootAuthority(options: RootOptions): Promise<Authority> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
  const subject = new x509.Name([{ O: [options.organization] }]);
  const root = await x509.X509CertificateGenerator.create({
    serialNumber: createSerialNumber(),
    subject,
    issuer: subject,
    notBefore: dateOf(options.nowMs - clockSkewMs),
    notAfter: dateOf(options.nowMs + options.lifetimeMs),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: { ...curve, hash: "SHA-256" },
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const certificate = `${root.toString("pem").trimEnd()}\n`;
  return { certificate, privateKey: await exportKey(keys.privateKey), chain: "", roots: certificate };
}

/** Texts in PEM, as they stand in a Secret or in files. */
export interface AuthorityTexts {
  readonly certificate: string;
  readonly privateKey: string;
  /** The signing certificate and those above it, in order; "" where there is none. */
  readonly chain: string;
  /** "" where the certificate is the root itself. */
  readonly roots: string;
}

/**
 * Checks an authority that somebody stored or plugged in: the key is the certificate's, the certificate may sign, holds at
 * `nowMs`, and leads to one of the roots. Throws CertificateError with the first thing that is wrong.
 */
export function parseAuthority(texts: AuthorityTexts, nowMs: number): Authority {
  const [certificate] = parseCertificates(texts.certificate, "the CA certificate");
  const key = parsePrivateKey(texts.privateKey, "the CA key");
  checkPair(certificate, key, nowMs);
  if (!certificate.ca) throw new CertificateError("the CA certificate may not sign others (it lacks CA:TRUE)");
  describeAlgorithm(key);
  const roots = texts.roots.trim() === "" ? [certificate] : parseCertificates(texts.roots, "the root certificate");
  const above = texts.chain.trim() === "" ? [] : parseCertificates(texts.chain, "the certificate chain");
  const path = findPath(certificate, above, roots);
  const privateKey = new SecretText(key.export({ type: "pkcs8", format: "pem" }).toString());
  return {
    certificate: formatCertificate(certificate),
    privateKey,
    chain: path.map(formatCertificate).join(""),
    roots: roots.map(formatCertificate).join(""),
  };
}

/** From the signing certificate up to the last one below a root; empty where it is a root itself. */
function findPath(
  certificate: X509Certificate,
  above: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): readonly X509Certificate[] {
  const path: X509Certificate[] = [];
  let current = certificate;
  for (;;) {
    const { fingerprint256 } = current;
    if (roots.some((root) => root.fingerprint256 === fingerprint256)) return path;
    path.push(current);
    const isAbove = (other: X509Certificate): boolean => isIssuer(other, current) && !path.includes(other);
    if (roots.some((root) => isIssuer(root, current))) return path;
    const next = above.find(isAbove);
    if (next === undefined) throw new CertificateError("the CA certificate does not lead to the root certificate");
    current = next;
  }
}

const isIssuer = (issuer: X509Certificate, subject: X509Certificate): boolean =>
  subject.checkIssued(issuer) && subject.verify(issuer.publicKey);

/**
 * Issues a certificate for a server, with a new ECDSA P-256 key. It never holds longer than the certificate that signs it.
 * Rejects with CertificateError where that one has expired.
 */
export async function issueServingCertificate(authority: Authority, options: IssueOptions): Promise<IssuedCertificate> {
  if (options.names.length === 0) throw new CertificateError("a serving certificate needs at least one name");
  const names = options.names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value }));
  return issue(authority, { ...options, names });
}

/**
 * Issues a certificate that proves the identity of a workload, with a new ECDSA P-256 key; its only name is the SPIFFE
 * URI. It never holds longer than the certificate that signs it. Rejects with CertificateError where that one has expired.
 */
export async function issueWorkloadCertificate(
  authority: Authority,
  options: WorkloadIssueOptions,
): Promise<IssuedCertificate> {
  const { lifetimeMs, nowMs, identity } = options;
  return issue(authority, { lifetimeMs, nowMs, names: [{ type: "url", value: formatSpiffeIdentity(identity) }] });
}

interface NamedIssue extends Omit<IssueOptions, "names"> {
  readonly names: readonly LeafName[];
}

interface LeafName {
  readonly type: "dns" | "ip" | "url";
  readonly value: string;
}

async function issue(authority: Authority, { names, lifetimeMs, nowMs }: NamedIssue): Promise<IssuedCertificate> {
  const signer = new X509Certificate(authority.certificate);
  const signerEndMs = signer.validToDate.getTime();
  if (signerEndMs <= nowMs) throw new CertificateError(`the signing certificate has expired (${signer.validTo})`);
  const [notBeforeMs, notAfterMs] = [nowMs - clockSkewMs, Math.min(nowMs + lifetimeMs, signerEndMs)];
  const x509 = await loadX509();
  const key = createPrivateKey(authority.privateKey.reveal());
  const algorithm = describeAlgorithm(key);
  const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
  const serialNumber = createSerialNumber();
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber,
    issuer: new x509.X509Certificate(authority.certificate).subjectName,
    notBefore: dateOf(notBeforeMs),
    notAfter: dateOf(notAfterMs),
    publicKey: keys.publicKey,
    signingKey: key.toCryptoKey(algorithm, false, ["sign"]),
    signingAlgorithm: algorithm,
    extensions: await listLeafExtensions(x509, { names, leafKey: keys.publicKey, signerKey: createPublicKey(key) }),
  });
  return {
    chain: `${leaf.toString("pem").trimEnd()}\n${authority.chain}`,
    privateKey: await exportKey(keys.privateKey),
    notBeforeMs,
    notAfterMs,
    serialNumber,
  };
}

interface LeafKeys {
  readonly names: readonly LeafName[];
  readonly leafKey: webcrypto.CryptoKey;
  readonly signerKey: KeyObject;
}

async function listLeafExtensions(x509: X509Library, { names, leafKey, signerKey }: LeafKeys) {
  const { KeyUsageFlags, ExtendedKeyUsage } = x509;
  const usages = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
    new x509.ExtendedKeyUsageExtension(usages),
    // RFC 5280, 4.2.1.6: critical, because the subject is empty.
    new x509.SubjectAlternativeNameExtension([...names], true),
    await x509.AuthorityKeyIdentifierExtension.create(await importPublicKey(signerKey)),
    await x509.SubjectKeyIdentifierExtension.create(leafKey),
  ];
}

/** How this key signs: the hash follows the size of the key. Throws CertificateError for keys that are not taken. */
function describeAlgorithm(key: KeyObject): SigningAlgorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return { name: "Ed25519" };
  if (type === "rsa") {
    if ((details?.modulusLength ?? 0) < 2048) throw new CertificateError("the CA key has less than 2048 bits");
    return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  }
  const known = type === "ec" ? curves.get(details?.namedCurve ?? "") : undefined;
  if (known === undefined)
    throw new CertificateError("the CA key must be RSA, Ed25519, or ECDSA on P-256, P-384 or P-521");
  return { name: "ECDSA", ...known };
}

const curves: ReadonlyMap<string, { readonly namedCurve: string; readonly hash: string }> = new Map([
  ["prime256v1", { namedCurve: "P-256", hash: "SHA-256" }],
  ["secp384r1", { namedCurve: "P-384", hash: "SHA-384" }],
  ["secp521r1", { namedCurve: "P-521", hash: "SHA-512" }],
]);

/** 128 random bits; never zero in its first byte, so that the number has always the same length. */
function createSerialNumber(): string {
  for (;;) {
    const bytes = randomBytes(16);
    if (bytes[0] !== 0) return bytes.toString("hex");
  }
}

async function exportKey(key: webcrypto.CryptoKey): Promise<SecretText> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const pem = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" });
  return new SecretText(pem.toString());
}

async function importPublicKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  return key.toCryptoKey(describeAlgorithm(key), true, ["verify"]);
}
