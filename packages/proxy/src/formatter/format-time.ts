/** Points in time by strftime's patterns, in UTC, with Envoy's %s, %f, %3f and %E3S for parts of seconds. */
import { civilDateOf } from "../lib/civil-date.ts";
import { ConfigError } from "../lib/config-error.ts";

/** Formats milliseconds since the epoch. */
export type FormatTime = (timeMs: number) => string;

/** "2026-11-21T17:29:35.244Z", Envoy's default. */
export const isoTimeFormat = "%Y-%m-%dT%H:%M:%E3SZ";

/** Throws ConfigError for a pattern that is not known. */
export function compileTimeFormat(format: string): FormatTime {
  const parts: (string | ((at: Moment) => string))[] = [];
  const pattern = /%(E\d+S|E\*S|\d+f|.)|[^%]+|%/gs;
  for (const [text, code] of format.matchAll(pattern)) parts.push(code === undefined ? text : compileCode(code));
  let lastSecond = Number.NaN;
  let moment: Moment | undefined;
  return (timeMs) => {
    // Requests of one second share what was computed for it.
    const second = Math.floor(timeMs / 1000);
    if (moment === undefined || second !== lastSecond) moment = splitTime(second);
    lastSecond = second;
    moment.ms = timeMs - second * 1000;
    let text = "";
    for (const part of parts) text += typeof part === "string" ? part : part(moment);
    return text;
  };
}

interface Moment {
  readonly epoch: number;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  /** From 1. */
  readonly dayOfYear: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  ms: number;
}

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

const codes: Readonly<Record<string, (at: Moment) => string>> = {
  "%": () => "%",
  n: () => "\n",
  t: () => "\t",
  Y: ({ year }) => String(year),
  C: ({ year }) => pad(Math.floor(year / 100)),
  y: ({ year }) => pad(year % 100),
  m: ({ month }) => pad(month),
  d: ({ day }) => pad(day),
  e: ({ day }) => String(day).padStart(2, " "),
  j: ({ dayOfYear }) => pad(dayOfYear, 3),
  H: ({ hour }) => pad(hour),
  I: ({ hour }) => pad(hour % 12 || 12),
  M: ({ minute }) => pad(minute),
  S: ({ second }) => pad(second),
  p: ({ hour }) => (hour < 12 ? "AM" : "PM"),
  a: ({ weekday }) => (weekdays[weekday] ?? "").slice(0, 3),
  A: ({ weekday }) => weekdays[weekday] ?? "",
  b: ({ month }) => (months[month - 1] ?? "").slice(0, 3),
  h: ({ month }) => (months[month - 1] ?? "").slice(0, 3),
  B: ({ month }) => months[month - 1] ?? "",
  u: ({ weekday }) => String(weekday || 7),
  w: ({ weekday }) => String(weekday),
  z: () => "+0000",
  Z: () => "UTC",
  s: ({ epoch }) => String(epoch),
  f: ({ ms }) => fraction(ms, 9),
};

/** Patterns that stand for others. */
const shorthands: Readonly<Record<string, string>> = {
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  R: "%H:%M",
  T: "%H:%M:%S",
  r: "%I:%M:%S %p",
  c: "%a %b %e %H:%M:%S %Y",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
};

function compileCode(code: string): (at: Moment) => string {
  const known = codes[code];
  if (known !== undefined) return known;
  const shorthand = shorthands[code];
  if (shorthand !== undefined) {
    const parts = [...shorthand.matchAll(/%(.)|[^%]+/gs)].map(([text, inner]) =>
      inner === undefined ? () => text : compileCode(inner),
    );
    return (at) => parts.map((part) => part(at)).join("");
  }
  const digits = Number(/^(\d+)f$/.exec(code)?.[1] ?? Number.NaN);
  if (digits >= 1 && digits <= 9) return ({ ms }) => fraction(ms, digits);
  const precision = /^E(\d+|\*)S$/.exec(code)?.[1];
  if (precision === "*") return ({ second, ms }) => pad(second) + `.${fraction(ms, 9)}`.replace(/\.?0+$/, "");
  if (precision !== undefined && Number(precision) === 0) return ({ second }) => pad(second);
  if (precision !== undefined) return ({ second, ms }) => `${pad(second)}.${fraction(ms, Number(precision))}`;
  throw new ConfigError("", `the time pattern %${code} is not supported`);
}

/** The part of a second, cut off and not rounded. */
function fraction(ms: number, digits: number): string {
  const nanos = pad(Math.floor(ms * 1e6), 9);
  return nanos.slice(0, digits).padEnd(digits, "0");
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}

/** The civil date and time of a second since the epoch. */
function splitTime(epoch: number): Moment {
  const days = Math.floor(epoch / 86_400);
  const rest = epoch - days * 86_400;
  const { year, month, day, marchDay } = civilDateOf(days);
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return {
    epoch,
    year,
    month,
    day,
    // March 1st is day 60, or 61 of a leap year; January 1st is the 306th day after March 1st of the year before.
    dayOfYear: marchDay < 306 ? marchDay + (isLeap ? 61 : 60) : marchDay - 305,
    weekday: (((days + 4) % 7) + 7) % 7,
    hour: Math.floor(rest / 3600),
    minute: Math.floor((rest % 3600) / 60),
    second: rest % 60,
    ms: 0,
  };
}
