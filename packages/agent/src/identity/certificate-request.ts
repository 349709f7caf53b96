/** A key that never leaves this process but for the proxy beside it, and the request to certify it. */
import { createPrivateKey, webcrypto } from "node:crypto";
import { SecretText } from "../../../../src/lib/secret-text.ts";
import { formatSpiffeIdentity, type SpiffeIdentity } from "../../../../src/lib/spiffe.ts";
import type { KeyKind } from "./secret-source.ts";
import { loadX509 } from "./x509-library.ts";

export interface CertificateRequestOptions {
  readonly identity: SpiffeIdentity;
  readonly key: KeyKind;
  /** PKCS #8; otherwise SEC 1 for ECDSA and PKCS #1 for RSA, as Istio's agent has it. */
  readonly isPkcs8: boolean;
}

export interface CertificateRequest {
  /** PKCS #10 in PEM. */
  readonly pem: string;
  /** PEM. */
  readonly privateKey: SecretText;
}

/** Istio takes no smaller ones (security/pkg/pki/util/generate_csr.go). */
const minRsaBits = 2048;
const maxRsaBits = 8192;

/** Throws RangeError where no authority would take such a key. */
export function checkKeyKind(key: KeyKind): void {
  if (key.kind === "rsa" && !(key.bits >= minRsaBits && key.bits <= maxRsaBits))
    throw new RangeError(`RSA keys have ${minRsaBits} to ${maxRsaBits} bits, not ${key.bits}`);
}

/** Makes a new key each time; its only name is the SPIFFE URI. */
export async function createCertificateRequest(options: CertificateRequestOptions): Promise<CertificateRequest> {
  const x509 = await loadX509();
  const algorithm = describeAlgorithm(options.key);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const names = [{ type: "url" as const, value: formatSpiffeIdentity(options.identity) }];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: algorithm,
    // RFC 5280, 4.2.1.6: critical, because the subject is empty.
    extensions: [new x509.SubjectAlternativeNameExtension(names, true)],
  });
  return {
    pem: `${request.toString("pem").trimEnd()}\n`,
    privateKey: await exportKey(keys.privateKey, options),
  };
}

function describeAlgorithm(key: KeyKind) {
  if (key.kind === "ecdsa")
    return { name: "ECDSA", namedCurve: key.curve, hash: key.curve === "P-256" ? "SHA-256" : "SHA-384" } as const;
  const publicExponent = new Uint8Array([1, 0, 1]);
  return { name: "RSASSA-PKCS1-v1_5", modulusLength: key.bits, publicExponent, hash: "SHA-256" } as const;
}

async function exportKey(key: webcrypto.CryptoKey, options: CertificateRequestOptions): Promise<SecretText> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const own = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const plainType = options.key.kind === "ecdsa" ? "sec1" : "pkcs1";
  return new SecretText(own.export({ type: options.isPkcs8 ? "pkcs8" : plainType, format: "pem" }).toString());
}
