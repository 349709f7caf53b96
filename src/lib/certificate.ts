/** Reads certificates and keys in PEM, with the platform's own parser. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** A certificate or key that cannot be used; the message names what is wrong and never shows a key. */
export class CertificateError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CertificateError";
  }
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text in their order. Throws CertificateError where there is none, or one is damaged. */
export function parseCertificates(pem: string, name: string): readonly [X509Certificate, ...X509Certificate[]] {
  const [first, ...others] = (pem.match(certificateBlock) ?? []).map((block) => parseCertificate(block, name));
  if (first === undefined) throw new CertificateError(`${name} holds no certificate in PEM`);
  return [first, ...others];
}

function parseCertificate(block: string, name: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (cause: unknown) {
    throw new CertificateError(`${name} holds a certificate that cannot be read`, { cause });
  }
}

/** A private key in PEM: PKCS #8, PKCS #1 or SEC 1. Throws CertificateError. */
export function parsePrivateKey(pem: string, name: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // The platform's message says nothing more, and a message about a key should never carry any of it.
    throw new CertificateError(`${name} holds no private key that can be read`);
  }
}

/** Throws CertificateError where the key is not the certificate's, or the certificate is not valid at `nowMs`. */
export function checkPair(certificate: X509Certificate, key: KeyObject, nowMs: number): void {
  if (!certificate.checkPrivateKey(key)) throw new CertificateError("the private key does not match the certificate");
  if (certificate.validToDate.getTime() <= nowMs)
    throw new CertificateError(`the certificate has expired (${certificate.validTo})`);
  if (certificate.validFromDate.getTime() > nowMs)
    throw new CertificateError(`the certificate is not valid yet (${certificate.validFrom})`);
}

/** The certificate in PEM, with a line end. */
export function formatCertificate(certificate: X509Certificate): string {
  return certificate.toString().trimEnd().concat("\n");
}
