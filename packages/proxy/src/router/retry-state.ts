/** The retries of one request: whether another attempt is made, and when. */
import type { Runtime } from "../config/runtime.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { Clock } from "../lib/clock.ts";
import type { Breaker, UpstreamFailure } from "../upstream/types.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { RetryCondition, RetryPolicy } from "./retry-policy.ts";

export interface RetryEnv {
  readonly clock: Clock;
  readonly random: () => number;
  readonly runtime: Runtime;
  readonly counters: ClusterCounters;
  readonly breaker: Breaker;
}

/** "limit": as many attempts were made as are allowed. "overflow": too many requests of the cluster are retried. */
export type RetryVerdict = "retry" | "no" | "limit" | "overflow";

/** What the log says of a request that was not tried again. */
export const flagsOfVerdict: Readonly<Record<RetryVerdict, readonly ResponseFlag[]>> = {
  retry: [],
  no: [],
  limit: ["URX"],
  overflow: ["UO"],
};

const grpcConditions: readonly (readonly [RetryCondition, string])[] = [
  ["cancelled", "1"],
  ["deadline-exceeded", "4"],
  ["resource-exhausted", "8"],
  ["internal", "13"],
  ["unavailable", "14"],
];
const gatewayErrors = new Set([502, 503, 504]);
const defaultBaseMs = 25;

export class RetryState {
  readonly #policy: RetryPolicy;
  readonly #env: RetryEnv;
  #left: number;
  #retries = 0;
  #holdsBreaker = false;

  constructor(policy: RetryPolicy, env: RetryEnv) {
    this.#policy = policy;
    this.#env = env;
    this.#left = policy.maxRetries;
  }

  /** After an answer's head. "no" for an answer to be passed on as it is. */
  afterResponse(status: number, headers: HeaderList): RetryVerdict {
    return this.#decide(wantsResponseRetried(this.#policy, status, headers));
  }

  /** True for an answer that the policy does not want, whatever is left of the retries. */
  wouldRetry(status: number, headers: HeaderList): boolean {
    return wantsResponseRetried(this.#policy, status, headers);
  }

  /** After an attempt without an answer; a timeout of an attempt is a "local-reset". */
  afterFailure(failure: UpstreamFailure, isSent: boolean): RetryVerdict {
    return this.#decide(wantsFailureRetried(this.#policy, failure, isSent));
  }

  /** An attempt takes too long: another is made beside it, whatever the conditions say. */
  beside(): RetryVerdict {
    return this.#decide(true);
  }

  /** Milliseconds until the next attempt, after a verdict "retry"; the answer may say how long to wait. */
  takeDelay(headers: HeaderList | undefined): number {
    const { counters, random } = this.#env;
    const reset = headers && this.#resetDelay(headers);
    if (reset !== undefined) {
      counters.counters.upstream_rq_retry_backoff_ratelimited.inc();
      return reset + Math.floor(random() * (reset / 2));
    }
    counters.counters.upstream_rq_retry_backoff_exponential.inc();
    const base =
      this.#policy.baseIntervalMs ?? this.#env.runtime.number("upstream.base_retry_backoff_ms", defaultBaseMs);
    const most = this.#policy.maxIntervalMs ?? base * 10;
    const interval = Math.min(base * 2 ** (this.#retries - 1), most);
    return Math.floor(random() * interval);
  }

  /** The request is over. */
  close(): void {
    if (this.#holdsBreaker) this.#env.breaker.release();
    this.#holdsBreaker = false;
  }

  #decide(isWanted: boolean): RetryVerdict {
    const { counters } = this.#env.counters;
    if (this.#holdsBreaker && !isWanted) counters.upstream_rq_retry_success.inc();
    this.close();
    if (!isWanted) return "no";
    if (this.#left === 0) {
      counters.upstream_rq_retry_limit_exceeded.inc();
      return "limit";
    }
    this.#left -= 1;
    // The breaker itself counts the overflow.
    if (!this.#env.breaker.take()) return "overflow";
    this.#holdsBreaker = true;
    this.#retries += 1;
    counters.upstream_rq_retry.inc();
    return "retry";
  }

  #resetDelay(headers: HeaderList): number | undefined {
    for (const read of this.#policy.resetHeaders) {
      const ms = read(headers, this.#env.clock.now());
      if (ms !== undefined && ms > 0 && ms <= this.#policy.maxResetIntervalMs) return ms;
    }
    return undefined;
  }
}

function wantsResponseRetried(policy: RetryPolicy, status: number, headers: HeaderList): boolean {
  const { conditions } = policy;
  // An answer of another proxy's rate limiter is retried only where that is asked for.
  if (headers.has("x-envoy-ratelimited")) return conditions.has("envoy-ratelimited");
  if (conditions.has("5xx") && status >= 500 && status < 600) return true;
  if (conditions.has("gateway-error") && gatewayErrors.has(status)) return true;
  if (conditions.has("retriable-4xx") && status === 409) return true;
  if (conditions.has("retriable-status-codes") && policy.statusCodes.includes(status)) return true;
  if (conditions.has("retriable-headers") && policy.responseHeaders.some((test) => test(headers))) return true;
  const grpc = headers.get("grpc-status");
  return grpc !== undefined && grpcConditions.some(([condition, code]) => code === grpc && conditions.has(condition));
}

const connectFailures: ReadonlySet<UpstreamFailure> = new Set(["connection-failure", "connection-timeout"]);

function wantsFailureRetried({ conditions }: RetryPolicy, failure: UpstreamFailure, isSent: boolean): boolean {
  if (failure === "overflow") return false;
  if (conditions.has("reset") || conditions.has("5xx") || conditions.has("gateway-error")) return true;
  if (conditions.has("reset-before-request") && !isSent) return true;
  if (conditions.has("refused-stream") && failure === "refused-stream") return true;
  return conditions.has("connect-failure") && connectFailures.has(failure);
}
