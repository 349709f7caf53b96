/**
 * One flag: an option of the command line, an environment variable, or both, with its type and its default. A value on
 * the command line wins over the environment, which wins over the default.
 */

import { parseDuration } from "../lib/duration.ts";
import { joinHostPort } from "../lib/host-port.ts";

/** Where a server listens. `host` "" means all addresses, as in Go's ":8080". */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What a flag's text is read as; `duration` gives milliseconds, "infinity" among them. */
interface FlagValues {
  readonly string: string;
  readonly boolean: boolean;
  readonly integer: number;
  readonly number: number;
  readonly duration: number;
  readonly address: ListenAddress;
  /** Undefined for the empty text: nothing listens. */
  readonly optionalAddress: ListenAddress | undefined;
}
export type FlagType = keyof FlagValues;

export interface FlagDefinition<Type extends FlagType> {
  /** Name of the option without dashes; absent for what only the environment sets. */
  readonly name?: string;
  /** Other spellings that mean the same, such as istiod's. */
  readonly aliases?: readonly string[];
  /** Single letter for the option, such as "n". */
  readonly letter?: string;
  readonly env?: string;
  readonly type: Type;
  /** As a user would write it. */
  readonly default: string;
  /** One sentence for --help. */
  readonly doc: string;
}
export type AnyFlag = { readonly [Type in FlagType]: FlagDefinition<Type> }[FlagType];

export type ValueOf<Flag> = Flag extends FlagDefinition<infer Type> ? FlagValues[Type] : never;

/** States a flag; the type of its value follows from `type`. */
export function defineFlag<Type extends FlagType>(definition: FlagDefinition<Type>): FlagDefinition<Type> {
  return definition;
}

const parsers: { readonly [Type in FlagType]: (text: string) => FlagValues[Type] | undefined } = {
  string: (text) => text,
  boolean: parseBoolean,
  integer: (text) => (/^\d+$/.test(text) ? Number(text) : undefined),
  number: (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined),
  duration: parseDurationMs,
  address: parseListenAddress,
  optionalAddress: parseListenAddress,
};

const forms: { readonly [Type in FlagType]: string } = {
  string: "text",
  boolean: "true or false",
  integer: "a whole number",
  number: "a number",
  duration: 'a duration such as "100ms", "10s" or "1h30m"',
  address: 'an address such as ":8080", "127.0.0.1:8080" or "[::1]:8080"',
  optionalAddress: 'an address such as ":8080" or "127.0.0.1:8080", or nothing',
};

/** Reads a flag's text as its type; a string in `problem` says what it should have been. */
export function parseFlag<Type extends FlagType>(
  type: Type,
  text: string,
): { readonly value: FlagValues[Type] } | { readonly problem: string } {
  if (type === "optionalAddress" && text === "") return { value: undefined as FlagValues[Type] };
  const value = parsers[type](text);
  return value === undefined ? { problem: `${JSON.stringify(text)} is not ${forms[type]}` } : { value };
}

/** The words that Go's strconv.ParseBool takes, which istiod's flags are read with. */
function parseBoolean(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "True", "TRUE"].includes(text)) return true;
  if (["0", "f", "F", "false", "False", "FALSE"].includes(text)) return false;
  return undefined;
}

/** Go's duration text ("1h30m", "100ms", "0") to milliseconds; "infinity" is a duration here, as in istiod's help. */
function parseDurationMs(text: string): number | undefined {
  if (text === "infinity") return Number.POSITIVE_INFINITY;
  const durationMs = parseDuration(text);
  return durationMs !== undefined && durationMs >= 0 ? durationMs : undefined;
}

function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65535 ? undefined : { host: match[1] ?? match[2] ?? "", port };
}

/** Formats an address as a user writes it. */
export function formatListenAddress(address: ListenAddress): string {
  return joinHostPort(address.host, address.port);
}
