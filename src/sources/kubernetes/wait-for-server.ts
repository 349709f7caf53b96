import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { type Backoff, nextBackoff, noBackoff } from "./backoff.ts";
import type { Discovery } from "./discovery.ts";
import { classifyFailure, type Failure } from "./failure.ts";
import type { KubernetesLimits } from "./limits.ts";

export interface WaitOptions {
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly random: () => number;
  readonly limits: KubernetesLimits;
  readonly log: Log;
  readonly isStopped: () => boolean;
  readonly pause: (delayMs: number) => Promise<void>;
}

/**
 * Resolves when the API server says that it is ready, or has answered something else for limits.readinessMs. One that is
 * starting may call a kind missing or forbidden that it will serve a second later.
 */
export async function waitForServer(options: WaitOptions): Promise<void> {
  const { clock, random, limits, log, isStopped, pause } = options;
  let backoff: Backoff = noBackoff;
  let answeredAtMs: number | undefined;
  let told = "";
  while (!isStopped()) {
    const failure = await askReadiness(options.discovery);
    if (failure === undefined) return;
    const nowMs = clock.monotonic();
    if (failure.type !== "unreached") answeredAtMs ??= nowMs;
    if (answeredAtMs !== undefined && nowMs - answeredAtMs >= limits.readinessMs) return;
    if (failure.text !== told) log.warn("the API server is not ready, it is asked again", { error: failure.text });
    told = failure.text;
    const attempt = { nowMs, random: random(), isUnreached: true, retryAfterMs: failure.retryAfterMs };
    const [next, delayMs] = nextBackoff(backoff, attempt, limits.backoff);
    backoff = next;
    await pause(delayMs);
  }
}

async function askReadiness(discovery: Discovery): Promise<Failure | undefined> {
  try {
    if (await discovery.isReady()) return undefined;
    return { type: "refused", text: "it says that it is not ready", retryAfterMs: undefined };
  } catch (cause: unknown) {
    return classifyFailure(cause);
  }
}
