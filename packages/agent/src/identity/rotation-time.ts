/** When the next certificate is asked for, and when again after a failure. */

export interface RotationOptions {
  /** Part of the lifetime that is to be left; 0 to 1. */
  readonly gracePeriodRatio: number;
  /** How far that part may be off, up or down. */
  readonly gracePeriodJitter: number;
}

export interface Lifetime {
  /** When the certificate came; milliseconds since the epoch. */
  readonly receivedMs: number;
  readonly notAfterMs: number;
}

/**
 * The instant (milliseconds since the epoch) at which a certificate is renewed, never before it came. `random` is at least
 * 0 and less than 1 and spreads a fleet that started together (Istio: security/pkg/nodeagent/cache rotateTime).
 */
export function rotationTime({ receivedMs, notAfterMs }: Lifetime, options: RotationOptions, random: number): number {
  const ratio = options.gracePeriodRatio + (random * 2 - 1) * options.gracePeriodJitter;
  const bounded = Math.min(1, Math.max(0, ratio));
  return Math.max(receivedMs, notAfterMs - bounded * (notAfterMs - receivedMs));
}

const firstRetryMs = 500;
const longestRetryMs = 30_000;

/**
 * The pause in milliseconds after the `attempt`th failure in a row (1 is the first): twice as long each time up to 30 s,
 * then taken by a random factor of 0.5 to 1.5, so that a fleet whose authority went away does not come back as one.
 */
export function retryDelay(attempt: number, random: number): number {
  const full = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(attempt - 1, 16));
  return full * (0.5 + random);
}
