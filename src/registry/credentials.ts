/**
 * Secrets and ConfigMaps as credentials for TLS (Istio: pilot/pkg/credentials/kube/secrets.go), and what is wrong with
 * them. Keys are those of Secrets of type kubernetes.io/tls (tls.crt, tls.key, ca.crt, ca.crl, tls.ocsp-staple) and
 * the older generic ones (cert, key, cacert, crl), which come first.
 */
import type { X509Certificate } from "node:crypto";
import type { ConfigMap, Secret } from "../api/kubernetes/types.ts";
import { CertificateError, parseCertificates, parsePrivateKey } from "../lib/certificate.ts";
import { SecretText } from "../lib/secret-text.ts";

/** A certificate with its key, to prove who one is. Texts in PEM as somebody wrote them. */
export interface KeyPair {
  readonly chain: Uint8Array;
  readonly privateKey: SecretText;
  /** DER. */
  readonly ocspStaple: Uint8Array | undefined;
  readonly validity: Validity;
}

/** Certificates to check others with. */
export interface TrustedRoots {
  readonly certificates: Uint8Array;
  /** PEM; revocations. */
  readonly revocations: Uint8Array | undefined;
  readonly validity: Validity;
}

/** Milliseconds since the epoch, of the first certificate. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A part of a credential: there, not there, or there and not usable. */
export type Part<Content> =
  | { readonly kind: "good"; readonly content: Content }
  | { readonly kind: "absent" }
  | { readonly kind: "broken"; readonly key: string; readonly reason: string };

export interface Credential {
  readonly pair: Part<KeyPair>;
  readonly roots: Part<TrustedRoots>;
}

type Data = { readonly [key: string]: Uint8Array };

const absent = { kind: "absent" } as const;

/** Reads the parts of a Secret. Secrets that hold something else have none. */
export function readSecretCredential({ spec }: Secret): Credential {
  return { pair: readPair(spec.data), roots: readRoots(spec.data) };
}

/** A ConfigMap holds certificates only, never a key. */
export function readConfigMapCredential({ spec }: ConfigMap): Credential {
  const encoder = new TextEncoder();
  const data = Object.fromEntries(Object.entries(spec.data).map(([key, text]) => [key, encoder.encode(text)]));
  return { pair: absent, roots: readRoots(data) };
}

const pairKeys = [
  { chain: "cert", privateKey: "key", staple: undefined },
  { chain: "tls.crt", privateKey: "tls.key", staple: "tls.ocsp-staple" },
] as const;

const rootKeys = [
  { certificates: "cacert", revocations: "crl" },
  { certificates: "ca.crt", revocations: "ca.crl" },
] as const;

function readPair(data: Data): Part<KeyPair> {
  const keys = pairKeys.find((names) => hasText(data, names.chain) && hasText(data, names.privateKey));
  if (keys === undefined) return readIncompletePair(data);
  const [chain, keyBytes] = [bytesOf(data, keys.chain), bytesOf(data, keys.privateKey)];
  try {
    const [leaf] = parseCertificates(textOf(chain), keys.chain);
    const privateKey = textOf(keyBytes);
    if (!leaf.checkPrivateKey(parsePrivateKey(privateKey, keys.privateKey))) {
      return { kind: "broken", key: keys.privateKey, reason: "it is not the key of the certificate" };
    }
    const staple = keys.staple !== undefined && hasText(data, keys.staple) ? bytesOf(data, keys.staple) : undefined;
    const content = { chain, privateKey: new SecretText(privateKey), ocspStaple: staple, validity: validityOf(leaf) };
    return { kind: "good", content };
  } catch (cause: unknown) {
    return describeBroken(cause, [keys.chain, keys.privateKey]);
  }
}

/** One of the two alone, or an empty one, is a mistake; neither is none. */
function readIncompletePair(data: Data): Part<KeyPair> {
  for (const { chain, privateKey } of pairKeys) {
    const lacking = [chain, privateKey].find((key) => !hasText(data, key));
    const isMeant = Object.hasOwn(data, chain) && Object.hasOwn(data, privateKey);
    const isHalf = chain === "tls.crt" && (hasText(data, chain) || hasText(data, privateKey));
    if (lacking !== undefined && (isMeant || isHalf)) {
      return { kind: "broken", key: lacking, reason: "it is missing or empty" };
    }
  }
  return absent;
}

function readRoots(data: Data): Part<TrustedRoots> {
  const keys = rootKeys.find((names) => hasText(data, names.certificates));
  if (keys === undefined) return absent;
  const certificates = bytesOf(data, keys.certificates);
  const revocations = hasText(data, keys.revocations) ? bytesOf(data, keys.revocations) : undefined;
  if (revocations !== undefined && !isRevocationList(textOf(revocations))) {
    return { kind: "broken", key: keys.revocations, reason: "it holds no list of revocations in PEM" };
  }
  try {
    const [first] = parseCertificates(textOf(certificates), keys.certificates);
    return { kind: "good", content: { certificates, revocations, validity: validityOf(first) } };
  } catch (cause: unknown) {
    return describeBroken(cause, [keys.certificates]);
  }
}

function describeBroken(cause: unknown, keys: readonly string[]): Extract<Part<never>, { kind: "broken" }> {
  if (!(cause instanceof CertificateError)) throw cause;
  const key = keys.find((name) => cause.message.startsWith(`${name} `)) ?? "";
  return { kind: "broken", key, reason: key === "" ? cause.message : `it ${cause.message.slice(key.length + 1)}` };
}

const revocationBlock = /-----BEGIN X509 CRL-----\s+([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/g;

/** Only the frame is looked at: PEM around an ASN.1 sequence of the length that it says. */
function isRevocationList(pem: string): boolean {
  const blocks = [...pem.matchAll(revocationBlock)];
  return blocks.length > 0 && blocks.every(([, body = ""]) => isSequence(Buffer.from(body, "base64")));
}

function isSequence(der: Uint8Array): boolean {
  const [tag, length = 0] = der;
  if (tag !== 0x30) return false;
  if (length < 0x80) return der.length === 2 + length;
  const count = length - 0x80;
  if (count < 1 || count > 4 || der.length < 2 + count) return false;
  const size = der.subarray(2, 2 + count).reduce((total, byte) => total * 256 + byte, 0);
  return der.length === 2 + count + size;
}

const bytesOf = (data: Data, key: string): Uint8Array => data[key] ?? new Uint8Array();
const hasText = (data: Data, key: string): boolean => Object.hasOwn(data, key) && bytesOf(data, key).length > 0;
/** PEM is ASCII; other bytes must not become longer or fewer. */
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

function validityOf({ validFromDate, validToDate }: X509Certificate): Validity {
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}
