import { parseDuration } from "../lib/duration.ts";
import type { Findings, Path } from "./findings.ts";

/**
 * Checks a duration that Envoy waits for: at least a millisecond, and whole ones (ValidateDuration of Istio's
 * pkg/config/validation/agent). Absent is fine.
 */
export function checkWireDuration(text: string | undefined, path: Path, findings: Findings): void {
  if (text === undefined) return;
  const ms = parseDuration(text);
  if (ms === undefined) findings.error(path, 'must be a duration such as "5s"', "duration");
  else if (ms < 0) findings.error(path, "must not be negative", "duration");
  else if (ms < 1) findings.error(path, "must be at least 1ms", "duration");
  else if (!isWhole(ms)) findings.error(path, "must be whole milliseconds", "duration");
}

/** True where a number of milliseconds or seconds has no part below, apart from what floating point adds. */
export function isWhole(amount: number): boolean {
  return Math.abs(amount - Math.round(amount)) < 4e-7;
}
