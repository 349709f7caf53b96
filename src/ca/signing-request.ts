/**
 * Certificate signing requests (PKCS #10, RFC 2986) as workloads send them. Of a request only the key counts: whom the
 * certificate names is what the caller has proven, so subject, names and extensions in it are passed over; but a request
 * for an authority is refused, since whoever asks for one misunderstands us or means harm.
 */
import { Buffer } from "node:buffer";
import { type KeyObject, verify } from "node:crypto";
import type { Extension } from "@peculiar/asn1-x509";
import { CertificateError } from "../lib/certificate.ts";
import { type AsnLibrary, loadAsn } from "./asn-library.ts";
import type { CheckedRequest } from "./certificate-signer.ts";
import { type DerElement, derTags, isOneElement, listElements } from "./der.ts";
import { parseWorkloadKey } from "./key-policy.ts";

/** A request that is refused for what it is; the text is for the caller too. */
export class SigningRequestError extends CertificateError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SigningRequestError";
  }
}

/** Longest request in bytes; one for RSA 8192 has less than 6000. */
export const maxRequestBytes = 16 * 1024;

/**
 * Reads and checks a request: one block of PEM and nothing else, DER without anything behind, a key that is taken, signed
 * with that key, not for an authority. Rejects with SigningRequestError.
 */
export async function parseSigningRequest(pem: string): Promise<CheckedRequest> {
  const parts = splitRequest(decodePem(pem));
  const key = readKey(parts);
  await checkSignature(parts, key);
  await refuseAuthority(parts);
  return { pem, publicKey: key.export({ type: "spki", format: "der" }) };
}

/** The parts of a request as they stand in its bytes. */
export interface RequestParts {
  /** What the signature is over. */
  readonly signed: Uint8Array;
  readonly subject: DerElement;
  /** SubjectPublicKeyInfo. */
  readonly publicKeyInfo: Uint8Array;
  readonly attributes: readonly DerElement[];
  /** AlgorithmIdentifier. */
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

const pemForm =
  /^\s*-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/;

/** The bytes of a request in one block of PEM. Throws SigningRequestError. */
export function decodePem(pem: string): Buffer {
  if (Buffer.byteLength(pem) > maxRequestBytes) {
    throw new SigningRequestError(`the request is longer than ${maxRequestBytes} bytes`);
  }
  const [, body] = pemForm.exec(pem) ?? [];
  if (body === undefined) throw new SigningRequestError("the request is not one block CERTIFICATE REQUEST of PEM");
  const text = body.replaceAll(/[\r\n]/g, "");
  const der = Buffer.from(text, "base64");
  if (der.toString("base64") !== text) throw new SigningRequestError("the request is not in base64");
  return der;
}

/** [0] IMPLICIT. */
const attributesTag = 0xa0;

/** Throws SigningRequestError for what is no request in DER. */
export function splitRequest(der: Uint8Array): RequestParts {
  if (!isOneElement(der)) throw new SigningRequestError("the request is not in DER");
  const [request] = listElements(der) ?? [];
  const [info, algorithm, signature, ...moreParts] = listInside(request, derTags.sequence);
  const [version, subject, publicKeyInfo, attributes, ...moreInfo] = listInside(info, derTags.sequence);
  const isRequest =
    isTagged(version, derTags.integer) &&
    isTagged(subject, derTags.sequence) &&
    isTagged(publicKeyInfo, derTags.sequence) &&
    (attributes === undefined || isTagged(attributes, attributesTag)) &&
    isTagged(algorithm, derTags.sequence) &&
    isTagged(signature, derTags.bitString);
  if (!isRequest || info === undefined || moreParts.length > 0 || moreInfo.length > 0) {
    throw new SigningRequestError("the request is no PKCS #10");
  }
  return {
    signed: info.bytes,
    subject,
    publicKeyInfo: publicKeyInfo.bytes,
    attributes: listInside(attributes, attributesTag),
    algorithm: algorithm.bytes,
    // The first byte counts unused bits, of which a signature has none.
    signature: signature.content.subarray(1),
  };
}

const isTagged = (element: DerElement | undefined, tag: number): element is DerElement => element?.tag === tag;

function listInside(element: DerElement | undefined, tag: number): readonly DerElement[] {
  return isTagged(element, tag) ? (listElements(element.content) ?? []) : [];
}

function readKey({ publicKeyInfo }: RequestParts): KeyObject {
  try {
    return parseWorkloadKey(publicKeyInfo);
  } catch (cause: unknown) {
    if (!(cause instanceof CertificateError)) throw cause;
    throw new SigningRequestError(cause.message, { cause });
  }
}

/** AlgorithmIdentifiers that are taken, in hexadecimal, and whose keys they are for: none with SHA-1 or weaker. */
const signatureAlgorithms: ReadonlyMap<string, readonly [keyType: string, hash: string | null]> = new Map([
  ["300a06082a8648ce3d040302", ["ec", "sha256"]],
  ["300a06082a8648ce3d040303", ["ec", "sha384"]],
  ["300a06082a8648ce3d040304", ["ec", "sha512"]],
  ["300d06092a864886f70d01010b0500", ["rsa", "sha256"]],
  ["300d06092a864886f70d01010c0500", ["rsa", "sha384"]],
  ["300d06092a864886f70d01010d0500", ["rsa", "sha512"]],
  ["300506032b6570", ["ed25519", null]],
]);

async function checkSignature({ signed, algorithm, signature }: RequestParts, key: KeyObject): Promise<void> {
  const [keyType, hash = null] = signatureAlgorithms.get(Buffer.from(algorithm).toString("hex")) ?? [];
  if (keyType === undefined || keyType !== key.asymmetricKeyType) {
    throw new SigningRequestError("the signature of the request is of a kind that is not taken");
  }
  const isGood = await verifyAside(hash, signed, { key, signature });
  if (!isGood) throw new SigningRequestError("the request is not signed with its key");
}

/** On a thread of its own: the event loop goes on meanwhile. */
function verifyAside(
  hash: string | null,
  data: Uint8Array,
  by: { readonly key: KeyObject; readonly signature: Uint8Array },
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    verify(hash, data, by.key, by.signature, (error, isGood) => (error === null ? resolve(isGood) : reject(error)));
  });
}

/** PKCS #9 extensionRequest, 1.2.840.113549.1.9.14, with tag and length. */
const extensionRequest = Buffer.from("06092a864886f70d01090e", "hex");

/** The extensions that a request asks for. Throws SigningRequestError where they cannot be read. */
export function listRequestedExtensions(
  { AsnConvert, x509 }: AsnLibrary,
  { attributes }: RequestParts,
): readonly Extension[] {
  const values = attributes.flatMap((attribute) => {
    const [id, set] = listInside(attribute, derTags.sequence);
    return id !== undefined && extensionRequest.equals(id.bytes) ? listInside(set, derTags.set) : [];
  });
  try {
    return values.flatMap(({ bytes }) => [...AsnConvert.parse(bytes, x509.Extensions)]);
  } catch (cause: unknown) {
    throw new SigningRequestError("the extensions in the request cannot be read", { cause });
  }
}

async function refuseAuthority(parts: RequestParts): Promise<void> {
  if (parts.attributes.length === 0) return;
  const asn = await loadAsn();
  if (listRequestedExtensions(asn, parts).some((extension) => asksForAuthority(asn, extension))) {
    throw new SigningRequestError("the request is for a certificate authority");
  }
}

function asksForAuthority({ AsnConvert, x509 }: AsnLibrary, { extnID, extnValue }: Extension): boolean {
  try {
    if (extnID === x509.id_ce_basicConstraints) return AsnConvert.parse(extnValue.buffer, x509.BasicConstraints).cA;
    if (extnID !== x509.id_ce_keyUsage) return false;
    const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
    return (AsnConvert.parse(extnValue.buffer, x509.KeyUsage).toNumber() & (keyCertSign | cRLSign)) !== 0;
  } catch (cause: unknown) {
    throw new SigningRequestError("the extensions in the request cannot be read", { cause });
  }
}
