/** Waits between attempts: fully jittered, doubling, as Envoy waits for a control plane (500 ms to 30 s). */
export interface BackOff {
  /** Milliseconds until the next attempt. */
  next(): number;
  /** An attempt went well. */
  reset(): void;
}

export interface BackOffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random: () => number;
}

export const reconnectDelays = { baseMs: 500, maxMs: 30_000 } as const;

export function createBackOff({ baseMs, maxMs, random }: BackOffOptions): BackOff {
  let ceiling = baseMs;
  return {
    next() {
      const delay = random() * ceiling;
      ceiling = Math.min(maxMs, ceiling * 2);
      return delay;
    },
    reset() {
      ceiling = baseMs;
    },
  };
}
