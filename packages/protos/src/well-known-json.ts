import type { Json } from "./builders.ts";
import { ProtoError } from "./proto-error.ts";

/**
 * The text forms that canonical JSON prescribes for time and for numbers without digits
 * (https://protobuf.dev/programming-guides/json/).
 */

const NANOS_PER_SECOND = 1_000_000_000;
const MS_PER_SECOND = 1000;
/** About ±10000 years. */
const MAX_DURATION_SECONDS = 315_576_000_000;

interface SecondsAndNanos {
  readonly seconds?: number | string | undefined;
  readonly nanos?: number | undefined;
}

/** "10s", "0.250s", "-1.000000001s": as many of three, six or nine decimals as are needed. */
export function formatDuration({ seconds = 0, nanos = 0 }: SecondsAndNanos): string {
  const sign = Number(seconds) < 0 || nanos < 0 ? "-" : "";
  return `${sign}${String(seconds).replace("-", "")}${formatFraction(Math.abs(nanos))}s`;
}

export function parseDuration(json: unknown): SecondsAndNanos {
  const match = typeof json === "string" ? /^(-?)(\d+)(?:\.(\d{1,9}))?s$/.exec(json) : null;
  if (!match) throw new ProtoError("", `expected a duration such as "1.5s", got ${JSON.stringify(json)}`);
  const sign = match[1] === "-" ? -1 : 1;
  const seconds = Number(match[2]);
  if (seconds > MAX_DURATION_SECONDS) throw new ProtoError("", `duration ${match[0]} is out of range`);
  const nanos = Number((match[3] ?? "").padEnd(9, "0"));
  return withoutZeros({ seconds: seconds === 0 ? 0 : sign * seconds, nanos: nanos === 0 ? 0 : sign * nanos });
}

/** RFC 3339 in UTC: "2026-11-21T04:00:00Z". */
export function formatTimestamp({ seconds = 0, nanos = 0 }: SecondsAndNanos): string {
  const instant = new globalThis.Date(Number(seconds) * MS_PER_SECOND);
  return `${instant.toISOString().slice(0, "2026-11-21T04:00:00".length)}${formatFraction(nanos)}Z`;
}

export function parseTimestamp(json: unknown): SecondsAndNanos {
  const text = typeof json === "string" ? json : "";
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  const ms = match ? globalThis.Date.parse(`${match[1]}${match[3]}`) : Number.NaN;
  if (!match || Number.isNaN(ms)) throw new ProtoError("", `expected an RFC 3339 time, got ${JSON.stringify(json)}`);
  return withoutZeros({ seconds: ms / MS_PER_SECOND, nanos: Number((match[2] ?? "").padEnd(9, "0")) });
}

/** Numbers JSON has no digits for are spelt out. */
export function formatFloat(value: number): Json {
  return Number.isFinite(value) ? value : String(value);
}

function formatFraction(nanos: number): string {
  if (nanos === 0) return "";
  const digits = String(nanos + NANOS_PER_SECOND).slice(1);
  return `.${digits.replace(/(?:000){1,2}$/, "")}`;
}

function withoutZeros(time: { readonly seconds: number; readonly nanos: number }): SecondsAndNanos {
  return {
    ...(time.seconds === 0 ? {} : { seconds: time.seconds }),
    ...(time.nanos === 0 ? {} : { nanos: time.nanos }),
  };
}
