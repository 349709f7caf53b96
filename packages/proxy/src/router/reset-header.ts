/** Headers with which servers say when they take requests again: Retry-After and the like. */
import type { RetryPolicy_RateLimitedRetryBackOff } from "@meltemi/protos/envoy/config/route/v3";
import type { HeaderList } from "../http/header-list.ts";
import { ConfigError, compileAll } from "../lib/config-error.ts";

/** Milliseconds until then; undefined where the header does not say. `now` is in milliseconds since the epoch. */
export type ResetHeader = (headers: HeaderList, now: number) => number | undefined;

/** Throws ConfigError. */
export function compileResetHeaders(wire: RetryPolicy_RateLimitedRetryBackOff | undefined): readonly ResetHeader[] {
  return compileAll("rate_limited_retry_back_off.reset_headers", wire?.reset_headers, ({ name = "", format }) => {
    if (name === "") throw new ConfigError("name", "must not be empty");
    const lower = name.toLowerCase();
    const isTimestamp = format === "UNIX_TIMESTAMP";
    return (headers, now) => {
      const value = headers.get(lower);
      if (value === undefined || !/^\d+$/.test(value)) return undefined;
      const ms = Number(value) * 1000 - (isTimestamp ? Math.floor(now / 1000) * 1000 : 0);
      return ms < 0 ? undefined : ms;
    };
  });
}
