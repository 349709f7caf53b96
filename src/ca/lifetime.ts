import { SigningRequestError } from "./signing-request.ts";

export class LifetimeError extends SigningRequestError {
  constructor(message: string) {
    super(message);
    this.name = "LifetimeError";
  }
}

export interface LifetimeLimits {
  /** For who asks for none (DEFAULT_WORKLOAD_CERT_TTL). */
  readonly defaultMs: number;
  /** Nobody gets more (MAX_WORKLOAD_CERT_TTL). */
  readonly maxMs: number;
}

/**
 * Milliseconds that a certificate is to hold, of the seconds that were asked for; 0 and less stand for the usual time.
 * Throws LifetimeError where it is too long: a shorter one than asked for would surprise later
 * (Istio: security/pkg/pki/ca/ca.go).
 */
export function parseLifetime(seconds: number | string | undefined, { defaultMs, maxMs }: LifetimeLimits): number {
  // What does not fit a number comes as text (int64).
  const wanted = Number(seconds ?? 0) * 1000;
  if (!(wanted > 0)) return defaultMs;
  if (wanted <= maxMs) return wanted;
  throw new LifetimeError(`the lifetime of ${wanted / 1000}s is longer than the ${maxMs / 1000}s that are allowed`);
}
