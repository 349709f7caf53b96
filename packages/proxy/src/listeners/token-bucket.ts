import { durationToMs } from "@meltemi/protos";
import type { TokenBucket } from "@meltemi/protos/envoy/type/v3";
import type { Clock } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { wrappedNumber } from "../lib/wrapped.ts";

/** Envoy's shortest interval. */
const minIntervalMs = 50;

/** Tokens that fill up at once after each interval, and never beyond their maximum. Throws ConfigError. */
export function compileTokenBucket(wire: TokenBucket, clock: Clock): { take(): boolean } {
  const max = wire.max_tokens ?? 0;
  const perFill = wrappedNumber(wire.tokens_per_fill, 1);
  const intervalMs = durationToMs(wire.fill_interval) ?? 0;
  if (max < 1) throw new ConfigError("max_tokens", "must be at least 1");
  if (perFill < 1) throw new ConfigError("tokens_per_fill", "must be at least 1");
  if (intervalMs < minIntervalMs) throw new ConfigError("fill_interval", `must be at least ${minIntervalMs} ms`);
  let tokens = max;
  let filledAt = clock.monotonic();
  return {
    take() {
      const fills = Math.floor((clock.monotonic() - filledAt) / intervalMs);
      if (fills > 0) {
        tokens = Math.min(max, tokens + fills * perFill);
        filledAt += fills * intervalMs;
      }
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
