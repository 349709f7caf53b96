import { type DestinationStream, pino } from "pino";
import type { Log } from "../lib/log.ts";
import type { LogLevels } from "../server/types.ts";

/** Envoy's levels, from all to nothing. */
export const logLevelNames = ["trace", "debug", "info", "warning", "error", "critical", "off"] as const;
const warnNames = ["warn"] as const;

/** Names of loggers that can be set before they were used. */
const components = [
  "main",
  "admin",
  "config",
  "connection",
  "http",
  "http2",
  "filter",
  "listener",
  "router",
  "rbac",
  "upstream",
  "pool",
  "hc",
  "dns",
  "secret",
  "tracing",
];

export interface LogOptions {
  readonly level: string;
  /** As "upstream:debug,http:trace". */
  readonly componentLevels: string;
  readonly format: "json" | "text";
  readonly destination: DestinationStream;
}

export interface ProxyLog {
  readonly log: Log;
  readonly levels: LogLevels;
}

/** Errors have no fields that JSON shows: what they say, and where they come from, is written out. */
function withErrors(fields: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(fields);
  if (!entries.some(([, value]) => value instanceof Error)) return fields;
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Error ? (value.stack ?? value.message) : value]),
  );
}

/** The process's log, with a level for each component. Throws Error for a level or component that is not known. */
export function createLog({ level, componentLevels, format, destination }: LogOptions): ProxyLog {
  const logger = pino(
    {
      level: "trace",
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { log: withErrors },
    },
    format === "json" ? destination : { write: (line) => destination.write(formatLine(line)) },
  );
  const levels = new Map(components.map((name) => [name, level]));
  const set = (name: string, component?: string): boolean => {
    if (rankOf(name) < 0 || (component !== undefined && !levels.has(component))) return false;
    for (const known of component === undefined ? levels.keys() : [component]) levels.set(known, name);
    return true;
  };
  for (const pair of componentLevels.split(",").filter((text) => text !== "")) {
    const [component = "", name = ""] = pair.split(":");
    if (component === "" || rankOf(name) < 0)
      throw new Error(`--component-log-level: "${pair}" is no logger and level, such as "upstream:debug"`);
    // Loggers that only Envoy has say nothing here.
    set(name, component);
  }
  const initial = level;
  const create = (component: string, fields: Readonly<Record<string, unknown>>): Log => {
    if (!levels.has(component)) levels.set(component, initial);
    const child = logger.child(fields);
    const write = (at: "debug" | "info" | "warn" | "error"): Log["info"] => {
      const rank = rankOf(at);
      return (text, more) => {
        if (rankOf(levels.get(component) ?? initial) <= rank) child[at](more ?? {}, text);
      };
    };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (own) =>
        create(typeof own["component"] === "string" ? own["component"] : component, { ...fields, ...own }),
    };
  };
  return { log: create("main", { component: "main" }), levels: { set, list: () => levels } };
}

function rankOf(level: string): number {
  return logLevelNames.findIndex((name) => name === (level === warnNames[0] ? "warning" : level));
}

/** "[2026-11-21T17:29:35.157Z][10631][warning][main] text {fields}", near to Envoy's lines. */
function formatLine(line: string): string {
  const { time, pid, level, component, msg, ...fields } = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const name = pino.levels.labels[Number(level)] ?? "info";
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `[${time}][${pid}][${name === "warn" ? "warning" : name}][${component}] ${msg}${rest}\n`;
}
