/** What the checks of an object have to say, before it is known which object and which file it is about. */
import type { MessageLevel } from "../lib/message.ts";

/** Steps from the object's root to a field: names of fields and indexes of lists. */
export type Path = readonly (string | number)[];

export interface Finding {
  readonly level: MessageLevel;
  /** Stable code, see the reference of messages. */
  readonly code: string;
  readonly path: Path;
  readonly text: string;
}

/** Collects findings while an object is checked. */
export interface Findings {
  readonly all: readonly Finding[];
  /** Something that makes the object unusable. */
  error(path: Path, text: string, code?: string): void;
  /** Something that works, but probably not as its writer thinks. */
  warning(path: Path, text: string, code?: string): void;
}

export function createFindings(): Findings {
  const all: Finding[] = [];
  return {
    all,
    error: (path, text, code = "invalid-value") => void all.push({ level: "error", code, path, text }),
    warning: (path, text, code = "doubtful-value") => void all.push({ level: "warning", code, path, text }),
  };
}

const plainName = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** Formats a path as "spec.http[0].route[0].weight"; names with other characters stand in brackets and quotes. */
export function formatPath(path: Path): string {
  let result = "";
  for (const step of path) {
    if (typeof step === "number") result += `[${step}]`;
    else if (!plainName.test(step)) result += `[${JSON.stringify(step)}]`;
    else result += result === "" ? step : `.${step}`;
  }
  return result;
}
