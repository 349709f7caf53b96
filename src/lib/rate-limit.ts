import type { Clock } from "./clock.ts";

export interface RateLimitOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  /** So many may come at once after a quiet time. */
  readonly burst: number;
  /** Longest wait in milliseconds before a refusal. */
  readonly maxWaitMs: number;
}

/** A token bucket that lets the next ones wait for their token (row X21). */
export class RateLimit {
  readonly #options: RateLimitOptions;
  #tokens: number;
  #countedAt: number;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#countedAt = options.clock.monotonic();
  }

  /** Takes a token: milliseconds until it is there, 0 for at once; undefined where the wait would be too long. */
  reserve(): number | undefined {
    const { clock, perSecond, burst, maxWaitMs } = this.#options;
    const now = clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#countedAt) / 1000) * perSecond);
    this.#countedAt = now;
    const waitMs = this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / perSecond) * 1000;
    if (waitMs > maxWaitMs) return undefined;
    this.#tokens -= 1;
    return waitMs;
  }
}
