/** How long to wait before asking again: pure, so that a test can ask for any moment. */

export interface BackoffLimits {
  /** Longest wait after the first failure: what broke once is mostly there again at once. */
  readonly firstMs: number;
  /** Longest wait after the second failure; it doubles with each further one (client-go: 800 ms). */
  readonly initialMs: number;
  /** The longest wait of all (client-go: 30 s). */
  readonly maxMs: number;
  /** The longest wait where nobody answers: asking costs nobody anything, and the mesh must follow soon after a return. */
  readonly unreachedMaxMs: number;
  /** After so long without a failure the next one is the first again. */
  readonly quietMs: number;
}

export interface Backoff {
  /** Failures in a row. */
  readonly failures: number;
  /** When the last one was, on the monotonic clock. */
  readonly failedAtMs: number;
}

export const noBackoff: Backoff = { failures: 0, failedAtMs: Number.NEGATIVE_INFINITY };

export interface FailedAttempt {
  readonly nowMs: number;
  /** From 0 up to but not including 1. */
  readonly random: number;
  /** Nobody answered at all. */
  readonly isUnreached: boolean;
  /** The least that the server wants us to wait. */
  readonly retryAfterMs: number | undefined;
}

/** A server that asks for more than this is not obeyed: it is rather mistaken than that busy. */
const maxRetryAfterMs = 60_000;

/** Counts a failure and gives the wait until the next attempt: full jitter, so that many do not come back in step. */
export function nextBackoff(before: Backoff, attempt: FailedAttempt, limits: BackoffLimits): [Backoff, number] {
  const isQuiet = attempt.nowMs - before.failedAtMs >= limits.quietMs;
  const failures = (isQuiet ? 0 : before.failures) + 1;
  const capMs = attempt.isUnreached ? limits.unreachedMaxMs : limits.maxMs;
  const longestMs =
    failures === 1 ? limits.firstMs : Math.min(capMs, limits.initialMs * 2 ** Math.min(failures - 2, 20));
  // Not down to nothing after several failures: a run of small numbers must not become a hot loop.
  const shortestMs = failures === 1 ? 0 : Math.min(100, longestMs / 2);
  const jittered = shortestMs + attempt.random * (longestMs - shortestMs);
  const wanted = Math.min(attempt.retryAfterMs ?? 0, maxRetryAfterMs);
  // All clients are told the same time: a fifth of it spreads them.
  const delayMs = wanted > 0 ? Math.max(jittered, wanted * (1 + attempt.random / 5)) : jittered;
  return [{ failures, failedAtMs: attempt.nowMs }, Math.round(delayMs)];
}
