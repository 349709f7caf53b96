/** Envoy's substitution format ("%REQ(:AUTHORITY)%"), for access logs, added headers, local replies and metadata alike. */
import type { LogEntry } from "../access-log/types.ts";
import type { Clock } from "../lib/clock.ts";
import type { ClusterManager } from "../upstream/types.ts";

/** A compiled format. Absent values are "-" in text. */
export type TextFormatter = (entry: LogEntry) => string;

/** A compiled JSON format: numbers stay numbers, absent values are null or left out as the configuration says. */
export type JsonFormatter = (entry: LogEntry) => Readonly<Record<string, unknown>>;

/** The value of one operator: text, number, boolean or JSON; undefined where it is absent. */
export type Operator = (entry: LogEntry) => unknown;

export interface FormatOptions {
  /** Absent values are "" in text, and left out of JSON (omit_empty_values). */
  readonly omitsEmpty?: boolean | undefined;
  /** For %UPSTREAM_CLUSTER% with another name for statistics, and %CLUSTER_METADATA%. */
  readonly clusters?: ClusterManager | undefined;
  /** For %EMIT_TIME%. The system's where not given. */
  readonly clock?: Clock | undefined;
  /** Reads a variable of the environment; %ENVIRONMENT% is refused without. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
  /** %HOSTNAME%. The system's where not given. */
  readonly hostname?: string | undefined;
}
