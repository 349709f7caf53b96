/**
 * Certificate signing requests (PKCS #10, RFC 2986) as workloads send them. Of a request only the key counts: whom the
 * certificate names is what the caller has proven, so subject, names and extensions in it are passed over; but a request
 * for an authority is refused, since whoever asks for one misunderstands us or means harm.
 */
import { type KeyObject, verify } from "node:crypto";
import type { CertificationRequest } from "@peculiar/asn1-csr";
import type { Extension } from "@peculiar/asn1-x509";
import { CertificateError } from "../lib/certificate.ts";
import { type AsnLibrary, loadAsn } from "./asn-library.ts";
import type { CheckedRequest } from "./certificate-signer.ts";
import { isOneElement } from "./der.ts";
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
  const asn = await loadAsn();
  const request = decodeRequest(asn, pem);
  const key = readKey(asn, request);
  await checkSignature(request, key);
  refuseAuthority(asn, listRequestedExtensions(asn, request));
  return { pem, publicKey: key.export({ type: "spki", format: "der" }) };
}

const pemForm =
  /^\s*-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/;

/** The request in one block of PEM, unchecked beyond its form. Throws SigningRequestError. */
export function decodeRequest({ AsnConvert, csr }: AsnLibrary, pem: string): CertificationRequest {
  if (Buffer.byteLength(pem) > maxRequestBytes) {
    throw new SigningRequestError(`the request is longer than ${maxRequestBytes} bytes`);
  }
  const [, body] = pemForm.exec(pem) ?? [];
  if (body === undefined) throw new SigningRequestError("the request is not one block CERTIFICATE REQUEST of PEM");
  const text = body.replaceAll(/[\r\n]/g, "");
  const der = Buffer.from(text, "base64");
  if (der.toString("base64") !== text) throw new SigningRequestError("the request is not in base64");
  if (!isOneElement(der)) throw new SigningRequestError("the request is not in DER");
  try {
    return AsnConvert.parse(der, csr.CertificationRequest);
  } catch (cause: unknown) {
    throw new SigningRequestError("the request is no PKCS #10", { cause });
  }
}

function readKey({ AsnConvert }: AsnLibrary, { certificationRequestInfo }: CertificationRequest): KeyObject {
  try {
    return parseWorkloadKey(new Uint8Array(AsnConvert.serialize(certificationRequestInfo.subjectPKInfo)));
  } catch (cause: unknown) {
    const reason = cause instanceof CertificateError ? cause.message : "the public key cannot be read";
    throw new SigningRequestError(reason, { cause });
  }
}

/** Signature algorithms that are taken, and whose keys they are for: none with SHA-1 or weaker. */
const signatureAlgorithms: ReadonlyMap<string, readonly [keyType: string, hash: string | null]> = new Map([
  ["1.2.840.10045.4.3.2", ["ec", "sha256"]],
  ["1.2.840.10045.4.3.3", ["ec", "sha384"]],
  ["1.2.840.10045.4.3.4", ["ec", "sha512"]],
  ["1.2.840.113549.1.1.11", ["rsa", "sha256"]],
  ["1.2.840.113549.1.1.12", ["rsa", "sha384"]],
  ["1.2.840.113549.1.1.13", ["rsa", "sha512"]],
  ["1.3.101.112", ["ed25519", null]],
]);

/** On a thread of its own: the event loop goes on meanwhile. */
function verifyAside(hash: string | null, data: Uint8Array, by: { key: KeyObject; signature: Uint8Array }) {
  return new Promise<boolean>((resolve, reject) => {
    verify(hash, data, by.key, by.signature, (error, isGood) => (error === null ? resolve(isGood) : reject(error)));
  });
}

async function checkSignature(request: CertificationRequest, key: KeyObject): Promise<void> {
  const [keyType, hash = null] = signatureAlgorithms.get(request.signatureAlgorithm.algorithm) ?? [];
  if (keyType === undefined || keyType !== key.asymmetricKeyType) {
    throw new SigningRequestError("the signature of the request is of a kind that is not taken");
  }
  const signed = new Uint8Array(request.certificationRequestInfoRaw ?? new ArrayBuffer(0));
  const isGood = await verifyAside(hash, signed, { key, signature: new Uint8Array(request.signature) });
  if (!isGood) throw new SigningRequestError("the request is not signed with its key");
}

const extensionRequest = "1.2.840.113549.1.9.14";

/** The extensions that a request asks for. Throws SigningRequestError where they cannot be read. */
export function listRequestedExtensions(asn: AsnLibrary, request: CertificationRequest): readonly Extension[] {
  const { AsnConvert, x509 } = asn;
  const attributes = [...(request.certificationRequestInfo.attributes ?? [])];
  try {
    return attributes
      .filter(({ type }) => type === extensionRequest)
      .flatMap(({ values }) => values.flatMap((value) => [...AsnConvert.parse(value, x509.Extensions)]));
  } catch (cause: unknown) {
    throw new SigningRequestError("the extensions in the request cannot be read", { cause });
  }
}

function refuseAuthority(asn: AsnLibrary, extensions: readonly Extension[]): void {
  if (extensions.some((extension) => asksForAuthority(asn, extension))) {
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
