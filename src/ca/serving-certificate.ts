import type { SecretText } from "../lib/secret-text.ts";

/** What a server needs to be believed. All certificates are PEM. */
export interface ServingCertificate {
  /** The certificate and what stands between it and the root, the certificate first. */
  readonly chain: string;
  readonly privateKey: SecretText;
  /** Whom clients have to trust; goes into `caBundle` of webhook configurations. */
  readonly roots: string;
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}
