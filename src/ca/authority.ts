/**
 * The core of the certificate authority: makes a root, checks one that was given, and issues certificates for servers and
 * workloads.
 * The instant is an argument; keys and serial numbers come from the platform's source of randomness.
 */
import { createPrivateKey, generateKeyPair, webcrypto, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { createSecureContext } from "node:tls";
import { promisify } from "node:util";
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
import { clockSkewMs, createSerialNumber, type LeafName, signLeaf } from "./leaf.ts";
import { deriveSigningAlgorithm } from "./signing-algorithm.ts";
import { dropExpiredRoots, isIssuer, listCrls, listRoots } from "./trust-bundle.ts";
import { loadX509 } from "./x509-library.ts";

/** What signs certificates, and whom its clients trust. All certificates are PEM. */
export interface Authority {
  /** The certificate of the key that signs. */
  readonly certificate: string;
  /** PKCS #8 in PEM. */
  readonly privateKey: SecretText;
  /** From the signing certificate up to the one below the root, to be sent with what it signs; "" for a root. */
  readonly chain: string;
  /** The roots that clients are to trust: all that are distributed, also those that sign nothing yet, or no more. */
  readonly roots: string;
  /** Lists of revoked certificates (X509 CRL); absent where there are none. */
  readonly crl?: string;
}

export interface RootOptions {
  /** Trust domain, such as "cluster.local": the O of the subject, as Istio has it. */
  readonly organization: string;
  readonly lifetimeMs: number;
  readonly nowMs: number;
  /** Bits of an RSA key, 2048 at least; an ECDSA P-256 key is made where not given. */
  readonly rsaBits?: number;
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

const curve = { name: "ECDSA", namedCurve: "P-256" } as const;

/** Makes a root that signs itself, with a new key. */
export async function createRootAuthority(options: RootOptions): Promise<Authority> {
  const x509 = await loadX509();
  const { keys, signing } = await createRootKeys(options.rsaBits);
  const subject = new x509.Name([{ O: [options.organization] }]);
  const root = await x509.X509CertificateGenerator.create({
    serialNumber: createSerialNumber().toString("hex"),
    subject,
    issuer: subject,
    notBefore: dateOf(options.nowMs - clockSkewMs),
    notAfter: dateOf(options.nowMs + options.lifetimeMs),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: signing,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const certificate = `${root.toString("pem").trimEnd()}\n`;
  return { certificate, privateKey: await exportKey(keys.privateKey), chain: "", roots: certificate };
}

interface RootKeys {
  readonly keys: webcrypto.CryptoKeyPair;
  readonly signing:
    | { readonly name: "ECDSA"; readonly namedCurve: string; readonly hash: string }
    | { readonly name: "RSASSA-PKCS1-v1_5"; readonly hash: string };
}

async function createRootKeys(rsaBits: number | undefined): Promise<RootKeys> {
  if (rsaBits === undefined) {
    const keys = await webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]);
    return { keys, signing: { ...curve, hash: "SHA-256" } };
  }
  if (rsaBits < 2048 || rsaBits > 8192) throw new CertificateError("an RSA key of the CA has 2048 to 8192 bits");
  const signing = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as const;
  const algorithm = { ...signing, modulusLength: rsaBits, publicExponent: new Uint8Array([1, 0, 1]) };
  return { keys: await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]), signing };
}

/** Texts in PEM, as they stand in a Secret or in files. */
export interface AuthorityTexts {
  readonly certificate: string;
  readonly privateKey: string;
  /** The signing certificate and those above it, in order; "" where there is none. */
  readonly chain: string;
  /** "" where the certificate is the root itself. */
  readonly roots: string;
  /** Absent or "" where there is none. */
  readonly crl?: string;
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
  deriveSigningAlgorithm(key);
  const roots = texts.roots.trim() === "" ? [certificate] : parseCertificates(texts.roots, "the root certificate");
  const above = texts.chain.trim() === "" ? [] : parseCertificates(texts.chain, "the certificate chain");
  const path = findPath(certificate, above, roots);
  // A root that is over proves nothing any more; what it signed is over too.
  const { kept } = dropExpiredRoots(listRoots(roots.map(formatCertificate).join("")), nowMs);
  const last = path.at(-1) ?? certificate;
  if (!kept.some((root) => root.fingerprint256 === last.fingerprint256 || isIssuer(root, last)))
    throw new CertificateError("the root certificate that the CA certificate leads to has expired");
  const privateKey = new SecretText(key.export({ type: "pkcs8", format: "pem" }).toString());
  return {
    certificate: formatCertificate(certificate),
    privateKey,
    chain: path.map(formatCertificate).join(""),
    roots: kept.map(formatCertificate).join(""),
    ...(texts.crl === undefined || texts.crl.trim() === "" ? {} : { crl: parseCrls(texts.crl) }),
  };
}

/** TLS servers take revocation lists whole or not at all: a damaged one must not get that far. */
function parseCrls(pem: string): string {
  const lists = listCrls(pem);
  try {
    createSecureContext({ crl: [...lists] });
  } catch {
    throw new CertificateError("the revocation list holds a CRL that cannot be read");
  }
  return lists.join("");
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

async function issue(authority: Authority, { names, lifetimeMs, nowMs }: NamedIssue): Promise<IssuedCertificate> {
  const { publicKey, privateKey } = await generateKey("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const { certificate, ...leaf } = await signLeaf(authority, { names, publicKey: spki, lifetimeMs, nowMs });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { ...leaf, chain: `${certificate}${authority.chain}`, privateKey: new SecretText(pem) };
}

const generateKey = promisify(generateKeyPair);

async function exportKey(key: webcrypto.CryptoKey): Promise<SecretText> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const pem = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" });
  return new SecretText(pem.toString());
}
