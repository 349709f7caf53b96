/** Statistics of a subscription (docs: configuration/overview/mgmt_server, "xDS subscription statistics"). */
import type { Stats } from "../lib/stats.ts";

export interface SubscriptionStats {
  attempt(): void;
  failure(): void;
  settled(version: string, isRejected: boolean): void;
  fetchTimeout(): void;
  /** What is used has become another. */
  changed?(): void;
}

/** `hash` is xxHash64 of a text: Envoy's gauge of a version. `now` is in milliseconds since the epoch. */
export function createSubscriptionStats(
  stats: Stats,
  { hash, now }: { readonly hash: (text: string) => number; readonly now: () => number },
): SubscriptionStats {
  const attempts = stats.counter("update_attempt");
  const failures = stats.counter("update_failure");
  const rejected = stats.counter("update_rejected");
  const successes = stats.counter("update_success");
  const timeouts = stats.counter("init_fetch_timeout");
  const version = stats.gauge("version");
  const time = stats.gauge("update_time");
  return {
    attempt: () => attempts.inc(),
    failure() {
      failures.inc();
      attempts.inc();
    },
    settled(text, isRejected) {
      attempts.inc();
      if (isRejected) return rejected.inc();
      successes.inc();
      version.set(hash(text));
      time.set(now());
    },
    fetchTimeout: () => timeouts.inc(),
  };
}
