import type { LogEntry } from "../access-log/types.ts";
import { ConfigError } from "../lib/config-error.ts";
import type { FormatOptions, Operator } from "./types.ts";

/** Compiles what stands in an operator's parentheses (undefined: there are none). Throws ConfigError. */
export type CompileOperator = (argument: string | undefined, options: FormatOptions) => Operator;

export type OperatorTable = Readonly<Record<string, CompileOperator>>;

/** An operator that takes no argument. */
export function plain(read: (entry: LogEntry) => unknown): CompileOperator {
  return (argument) => {
    if (argument !== undefined) throw new ConfigError("", "takes no argument");
    return read;
  };
}

export function needArgument(argument: string | undefined): string {
  if (argument === undefined || argument === "") throw new ConfigError("", "needs an argument");
  return argument;
}

/** Empty text is an absent value. */
export function orAbsent(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** Values are one word in a log: Envoy puts underscores in the place of white space. */
export function withoutSpaces(text: string): string {
  return /\s/.test(text) ? text.replace(/\s/g, "_") : text;
}
