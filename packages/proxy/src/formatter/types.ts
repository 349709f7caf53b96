/** Envoy's substitution format ("%REQ(:AUTHORITY)%"), for access logs, added headers, local replies and metadata alike. */
import type { LogEntry } from "../access-log/types.ts";

/** A compiled format. Absent values are "-" in text. */
export type TextFormatter = (entry: LogEntry) => string;

/** A compiled JSON format: numbers stay numbers, absent values are null or left out as the configuration says. */
export type JsonFormatter = (entry: LogEntry) => Readonly<Record<string, unknown>>;
