/**
 * What turns a checked request into a certificate: our own authority, or one outside that we pass requests on to
 * (Istio: security/pkg/pki/ca and security/pkg/pki/ra).
 */
import type { SpiffeIdentity } from "../lib/spiffe.ts";

/** A certificate signing request whose form, signature and key have been checked. */
export interface CheckedRequest {
  /** The request as it came, one block of PEM. */
  readonly pem: string;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

export interface SigningOrder {
  readonly request: CheckedRequest;
  /** Whom the certificate names: what the caller has proven, never what the request says. */
  readonly identity: SpiffeIdentity;
  /** Longer than 0 and within the limits of the mesh; a signer that ends sooner shortens it. */
  readonly lifetimeMs: number;
  /** The signer that the caller asks for (metadata CertSigner); "" for the usual one. */
  readonly certSigner: string;
}

export interface SignedCertificate {
  /** In PEM: the certificate, then one each that stands between it and the root. */
  readonly chain: readonly string[];
  /** In PEM: every root that is trusted now, in one text. */
  readonly roots: string;
  /** Hexadecimal. */
  readonly serialNumber: string;
  readonly notAfterMs: number;
}

export interface CertificateSigner {
  readonly name: string;
  /**
   * Rejects with CertificateError (src/lib/certificate.ts) where it cannot be had now; the text is for our log, not for
   * the caller.
   */
  sign(order: SigningOrder, signal?: AbortSignal): Promise<SignedCertificate>;
}
