import { pino } from "pino";
import type { Log } from "../lib/log.ts";
import { createLogOutput } from "./log-output.ts";

export interface LogOptions {
  /** debug, info, warn, error or none. */
  readonly level: string;
  /** JSON lines for machines; otherwise text for people. */
  readonly json: boolean;
  /** Receives whole lines; standard output where absent. */
  readonly write?: (line: string) => void;
}

type Fields = Readonly<Record<string, unknown>>;
type Level = "debug" | "info" | "warn" | "error";
const levels: readonly string[] = ["debug", "info", "warn", "error"];

/** Creates the logger of this process. An unknown level counts as info. */
export function createLog(options: LogOptions): Log {
  const write = options.write ?? createStandardOutput();
  const level = options.level === "none" ? "silent" : options.level;
  const settings = {
    level: levels.includes(level) || level === "silent" ? level : "info",
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: describeError },
  };
  // Text is made from the JSON line itself: pino's own printer is a package and a thread more.
  const stream = { write: options.json ? write : (line: string) => write(formatLine(line)) };
  return wrapLogger(pino(settings, stream));
}

/** Errors of the platform's own types are bugs, which need their stack; those with names of ours say all in their message. */
const bugNames: ReadonlySet<string> = new Set(["Error", "TypeError", "RangeError", "ReferenceError", "SyntaxError"]);

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (bugNames.has(error.name)) return { message: error.message, stack: error.stack };
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.name}: ${error.message}${cause}`;
}

function createStandardOutput(): (line: string) => void {
  // Where the log cannot be written, its complaint may have nowhere to go either.
  process.stderr.on("error", () => undefined);
  return createLogOutput(process.stdout, (text) => void process.stderr.write(`error: ${text}\n`));
}

interface Logger extends Readonly<Record<Level, (fields: Fields, text: string) => void>> {
  child(fields: Fields): Logger;
}

function wrapLogger(logger: Logger): Log {
  const print =
    (level: Level) =>
    (text: string, fields: Fields = {}): void =>
      logger[level](fields, text);
  return {
    debug: print("debug"),
    info: print("info"),
    warn: print("warn"),
    error: print("error"),
    child: (fields) => wrapLogger(logger.child(fields)),
  };
}

/** "12:00:00.123 info  push: configuration sent  proxies=3" from pino's JSON line. */
function formatLine(line: string): string {
  const { level, time, msg, component, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const scope = component === undefined ? "" : `${component}: `;
  const rest = Object.entries(fields).map(([name, value]) => `  ${name}=${formatValue(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${scope}${msg}${rest.join("")}\n`;
}

function formatValue(value: unknown): string {
  if (typeof value === "string") return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === "object" && value !== null && "stack" in value) return String(value.stack);
  return JSON.stringify(value);
}
