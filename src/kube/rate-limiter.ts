import type { Clock } from "../lib/clock.ts";

export interface RateLimiterOptions {
  readonly clock: Clock;
  readonly perSecond: number;
  /** So many may come at once after a quiet time. */
  readonly burst: number;
}

/** A token bucket; whoever finds it empty waits for a token, in the order of asking. */
export class RateLimiter {
  readonly #options: RateLimiterOptions;
  #tokens: number;
  #countedAt: number;

  constructor(options: RateLimiterOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#countedAt = options.clock.monotonic();
  }

  /** Takes a token and resolves when it may be used. */
  async take(): Promise<void> {
    const { clock, perSecond, burst } = this.#options;
    const now = clock.monotonic();
    this.#tokens = Math.min(burst, this.#tokens + (Math.max(0, now - this.#countedAt) / 1000) * perSecond) - 1;
    this.#countedAt = now;
    // A negative count is a debt: each who waits stands one token further back.
    if (this.#tokens >= 0) return;
    const waitMs = (-this.#tokens / perSecond) * 1000;
    await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
  }
}
