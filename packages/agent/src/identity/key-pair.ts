/** A certificate with its key as they stand in files, checked before anybody is given them. */
import {
  CertificateError,
  formatCertificate,
  parseCertificates,
  parsePrivateKey,
} from "../../../../src/lib/certificate.ts";
import { SecretText } from "../../../../src/lib/secret-text.ts";

export interface KeyPair {
  /** PEM, the certificate first. */
  readonly chain: string;
  readonly privateKey: SecretText;
  readonly notAfterMs: number;
  /** Hexadecimal. */
  readonly serialNumber: string;
}

/**
 * Throws CertificateError where the key is not the certificate's, or the certificate has expired. One that is not valid
 * yet is taken: clocks differ.
 */
export function parseKeyPair(chain: string, key: string, nowMs: number): KeyPair {
  const certificates = parseCertificates(chain, "the certificate chain");
  const [leaf] = certificates;
  const privateKey = parsePrivateKey(key, "the key file");
  if (!leaf.checkPrivateKey(privateKey)) throw new CertificateError("the private key does not match the certificate");
  const notAfterMs = leaf.validToDate.getTime();
  if (notAfterMs <= nowMs) throw new CertificateError(`the certificate has expired (${leaf.validTo})`);
  return {
    chain: certificates.map(formatCertificate).join(""),
    privateKey: new SecretText(key),
    notAfterMs,
    serialNumber: leaf.serialNumber.toLowerCase(),
  };
}
