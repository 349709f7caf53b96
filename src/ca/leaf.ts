/**
 * What a certificate of a server or a workload looks like (Istio: security/pkg/pki/util/generate_cert.go): the one place
 * that makes them, whoever has the key. It is written as DER from finished parts: a general writer of certificates costs
 * more than their signature.
 */
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { CertificateError } from "../lib/certificate.ts";
import { formatInstant } from "../lib/clock.ts";
import { parseAddressBits } from "../lib/ip-address.ts";
import type { SecretText } from "../lib/secret-text.ts";
import { type AsnLibrary, loadAsn } from "./asn-library.ts";
import { derTags, listElements, wrapElement } from "./der.ts";
import { deriveSigningAlgorithm, type SigningAlgorithm, signAside } from "./signing-algorithm.ts";

/** What signs: of an Authority, the part that matters here. */
export interface LeafSigner {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8 in PEM. */
  readonly privateKey: SecretText;
}

export interface LeafName {
  readonly type: "dns" | "ip" | "url";
  readonly value: string;
}

export interface LeafOrder {
  /** At least one. */
  readonly names: readonly LeafName[];
  /** SubjectPublicKeyInfo in DER, of a key that has been checked. */
  readonly publicKey: Uint8Array;
  readonly lifetimeMs: number;
  readonly nowMs: number;
}

export interface Leaf {
  /** PEM, with a line end. */
  readonly certificate: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hexadecimal. */
  readonly serialNumber: string;
}

/** Clocks of a cluster differ: certificates hold from a little before now (Istio: 2 minutes). */
export const clockSkewMs = 2 * 60_000;

/**
 * Signs a certificate that is no authority, for servers and clients, with an empty subject. It never holds longer than
 * the certificate that signs it. Rejects with CertificateError where that one has expired.
 */
export async function signLeaf(authority: LeafSigner, order: LeafOrder): Promise<Leaf> {
  const asn = await loadAsn();
  const signer = findSigner(asn, authority);
  const { nowMs, lifetimeMs } = order;
  if (signer.endMs <= nowMs) throw new CertificateError(`the signing certificate has expired (${signer.end})`);
  const notBeforeMs = wholeSeconds(nowMs - clockSkewMs);
  const notAfterMs = wholeSeconds(Math.min(nowMs + lifetimeMs, signer.endMs));
  const serial = createSerialNumber();
  const body = wrapElement(
    derTags.sequence,
    version3,
    wrapElement(derTags.integer, ...(isHigh(serial) ? [zero, serial] : [serial])),
    signer.algorithm.identifier,
    signer.subject,
    wrapElement(derTags.sequence, encodeTime(notBeforeMs), encodeTime(notAfterMs)),
    emptySubject,
    order.publicKey,
    wrapElement(extensionsTag, encodeExtensions(signer, order)),
  );
  const signature = await signAside(body, signer.key, signer.algorithm);
  const der = wrapElement(
    derTags.sequence,
    body,
    signer.algorithm.identifier,
    wrapElement(derTags.bitString, zero, signature),
  );
  return { certificate: formatPem(der), notBeforeMs, notAfterMs, serialNumber: serial.toString("hex") };
}

/** Certificates know no parts of a second. */
const wholeSeconds = (ms: number): number => Math.floor(ms / 1000) * 1000;
const zero = Buffer.from([0]);
const version3 = Buffer.from("a003020102", "hex");
const emptySubject = Buffer.from("3000", "hex");
/** [3] EXPLICIT, in the body of a certificate. */
const extensionsTag = 0xa3;
const isHigh = (bytes: Uint8Array): boolean => ((bytes[0] ?? 0) & 0x80) !== 0;

/** 128 random bits; never zero in its first byte, so that the number has always the same length. */
export function createSerialNumber(): Buffer {
  for (;;) {
    const bytes = randomBytes(16);
    if (bytes[0] !== 0) return bytes;
  }
}

/** What every certificate of one authority has in common. */
interface Signer {
  readonly key: KeyObject;
  readonly algorithm: SigningAlgorithm;
  /** Name in DER. */
  readonly subject: Uint8Array;
  readonly endMs: number;
  /** The same for people. */
  readonly end: string;
  /** Its extension, in DER. */
  readonly authorityKeyIdentifier: Buffer;
}

const signers = new WeakMap<LeafSigner, Signer>();

function findSigner({ AsnConvert, x509 }: AsnLibrary, authority: LeafSigner): Signer {
  const known = signers.get(authority);
  if (known !== undefined) return known;
  const certificate = new X509Certificate(authority.certificate);
  const { tbsCertificate } = AsnConvert.parse(certificate.raw, x509.Certificate);
  const key = createPrivateKey(authority.privateKey.reveal());
  const own = tbsCertificate.extensions?.find(({ extnID }) => extnID === x509.id_ce_subjectKeyIdentifier);
  const identifier =
    own === undefined
      ? hashKey(new Uint8Array(tbsCertificate.subjectPublicKeyInfo.subjectPublicKey))
      : new Uint8Array(AsnConvert.parse(own.extnValue.buffer, x509.SubjectKeyIdentifier).buffer);
  const signer: Signer = {
    key,
    algorithm: deriveSigningAlgorithm(key),
    subject: new Uint8Array(AsnConvert.serialize(tbsCertificate.subject)),
    endMs: certificate.validToDate.getTime(),
    end: certificate.validTo,
    authorityKeyIdentifier: encodeExtension(
      "23",
      wrapElement(derTags.sequence, wrapElement(contextTag(0), identifier)),
    ),
  };
  signers.set(authority, signer);
  return signer;
}

const contextTag = (number: number): number => 0x80 | number;
const isTrue = Buffer.from("0101ff", "hex");

/** An extension below id-ce, 2.5.29, whose last number is given in hexadecimal. */
function encodeExtension(last: string, value: Uint8Array, criticality: Uint8Array = Buffer.alloc(0)): Buffer {
  const id = Buffer.from(`0603551d${last}`, "hex");
  return wrapElement(derTags.sequence, id, criticality, wrapElement(derTags.octetString, value));
}

const basicConstraints = encodeExtension("13", Buffer.from("3000", "hex"), isTrue);
// Bits 0 and 2: digitalSignature, keyEncipherment.
const keyUsage = encodeExtension("0f", Buffer.from("030205a0", "hex"), isTrue);
// id-kp-serverAuth, id-kp-clientAuth.
const extendedKeyUsage = encodeExtension("25", Buffer.from("301406082b0601050507030106082b06010505070302", "hex"));

function encodeExtensions({ authorityKeyIdentifier }: Signer, { names, publicKey }: LeafOrder): Buffer {
  // RFC 5280, 4.2.1.6: critical, because the subject is empty.
  const subjectAltName = encodeExtension("11", wrapElement(derTags.sequence, ...names.map(encodeName)), isTrue);
  const subjectKeyIdentifier = encodeExtension("0e", wrapElement(derTags.octetString, hashKey(readKeyBits(publicKey))));
  return wrapElement(
    derTags.sequence,
    ...[basicConstraints, keyUsage, extendedKeyUsage, subjectAltName, authorityKeyIdentifier, subjectKeyIdentifier],
  );
}

/** RFC 5280, 4.2.1.2, method 1. */
const hashKey = (keyBits: Uint8Array): Buffer => createHash("sha1").update(keyBits).digest();

/** The key in a SubjectPublicKeyInfo, without the byte that counts unused bits. */
function readKeyBits(subjectPublicKeyInfo: Uint8Array): Uint8Array {
  const [info] = listElements(subjectPublicKeyInfo) ?? [];
  const [, key] = listElements(info?.content ?? new Uint8Array()) ?? [];
  if (key === undefined) throw new CertificateError("the public key is no SubjectPublicKeyInfo");
  return key.content.subarray(1);
}

function encodeName({ type, value }: LeafName): Buffer {
  if (type === "dns") return wrapElement(contextTag(2), Buffer.from(value, "latin1"));
  if (type === "url") return wrapElement(contextTag(6), Buffer.from(value, "latin1"));
  const { bits, size } = parseAddressBits(value);
  return wrapElement(contextTag(7), Buffer.from(bits.toString(16).padStart(size / 4, "0"), "hex"));
}

/** RFC 5280, 4.1.2.5: UTCTime up to 2049. */
function encodeTime(epochMs: number): Buffer {
  const digits = formatInstant(epochMs).replaceAll(/[-:T]|\.\d+/g, "");
  const [tag, text] = digits < "2050" ? [derTags.utcTime, digits.slice(2)] : [derTags.generalizedTime, digits];
  return wrapElement(tag, Buffer.from(text, "latin1"));
}

function formatPem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
