/** Where a workload's secrets come from, and what they are. */
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import type { SecretText } from "../../../../src/lib/secret-text.ts";
import type { SpiffeIdentity } from "../../../../src/lib/spiffe.ts";
import type { UpstreamOptions } from "./upstream.ts";

/** All certificates are PEM. */
export interface WorkloadSecret {
  /** The certificate and what stands between it and the root, the certificate first. */
  readonly chain: string;
  /** PEM. */
  readonly privateKey: SecretText;
  /** Whom peers' certificates have to lead to. */
  readonly roots: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

export interface WorkloadSecrets {
  /**
   * Resolves at the first certificate, or when stopped. Goes on trying for ever, with pauses that grow and stay bounded.
   */
  start(): Promise<void>;
  /** Undefined until the first certificate. */
  current(): WorkloadSecret | undefined;
  /** Calls `run` after each change of current(); the answer ends that. */
  onChange(run: () => void): () => void;
  stop(): void;
}

/** WORKLOAD_RSA_KEY_SIZE, ECC_SIGNATURE_ALGORITHM and ECC_CURVE. */
export type KeyKind =
  | { readonly kind: "ecdsa"; readonly curve: "P-256" | "P-384" }
  | { readonly kind: "rsa"; readonly bits: number };

/** A certificate authority that signs requests (CA_ADDR). */
export interface AuthoritySource {
  readonly kind: "authority";
  readonly upstream: UpstreamOptions;
  readonly identity: SpiffeIdentity;
  readonly key: KeyKind;
  /** PKCS #8 instead of the older form of its kind (PKCS8_KEY). */
  readonly isPkcs8: boolean;
  /** What is asked for (SECRET_TTL); the authority decides. */
  readonly lifetimeMs: number;
  /** Signer that the authority is to use (ISTIO_META_CERT_SIGNER); "" for its usual one. */
  readonly certSigner: string;
  /** Roots that are trusted besides those that the authority names, a live file (root-cert.pem of the ConfigMap). */
  readonly rootsFile?: string;
}

/** Files that somebody else renews (FILE_MOUNTED_CERTS, workload-spiffe-credentials). */
export interface FileSource {
  readonly kind: "files";
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly rootsFile: string;
}

export type SecretSourceOptions = AuthoritySource | FileSource;

export interface WorkloadSecretsOptions {
  readonly source: SecretSourceOptions;
  readonly clock: Clock;
  readonly log: Log;
  /** Part of the lifetime that is left when the next certificate is asked for (SECRET_GRACE_PERIOD_RATIO, 0.5). */
  readonly gracePeriodRatio: number;
  /** How far that part may be off, up or down (SECRET_GRACE_PERIOD_RATIO_JITTER, 0.01). */
  readonly gracePeriodJitter: number;
  /** A random number, at least 0 and less than 1. */
  readonly jitter: () => number;
  /** Changed files are read when they have been left alone for so long (FILE_DEBOUNCE_DURATION, 100 ms). */
  readonly fileDebounceMs: number;
  /** Where key.pem, cert-chain.pem and root-cert.pem are written as well (OUTPUT_CERTS). */
  readonly outputDirectory?: string;
}
