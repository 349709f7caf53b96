/**
 * Regular expressions as Envoy takes them: RE2's syntax, matched against whole texts, in time linear in the text.
 *
 * re2js decides what is valid. V8's engine is some ten times faster but may backtrack without end, so that it gets only
 * plain patterns (plain-regex.ts), and texts for which its work stays bounded.
 */
import { RE2JS } from "re2js";
import { ConfigError } from "../lib/config-error.ts";
import { parsePlainRegex } from "./plain-regex.ts";

export interface Regex {
  /** True where the whole text matches. */
  test(text: string): boolean;
  /** Replaces every match. `substitution` has \0 for the match and \1 to \9 for its groups, "\\" for a backslash. */
  replace(text: string, substitution: string): string;
  /** Number of groups: what a substitution may speak of. */
  readonly groups: number;
}

/** Longest text for V8 by the number of repetitions in a pattern: the work is at most length ** repetitions. */
const longestText = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 1024, 128];

/** Compiles RE2's syntax. Throws ConfigError for what RE2 would refuse. */
export function compileRegex(regex: string): Regex {
  // \C is any one byte; re2js leaves it out, texts here are ASCII or nearly so.
  const source = regex.replaceAll(/\\([\s\S])/g, (pair, letter) => (letter === "C" ? "(?s:.)" : pair));
  const linear = compileLinear(source);
  const plain = parsePlainRegex(source);
  const limit = plain && longestText[plain.repetitions];
  if (plain === undefined || limit === undefined) return new LinearRegex(linear);
  return new PlainRegex(plain.source, plain.flags, { limit, linear });
}

/** A function that replaces every match in a text. Throws ConfigError where the substitution names a group that is not there. */
export function compileReplacement(regex: string, substitution: string): (text: string) => string {
  const compiled = compileRegex(regex);
  checkSubstitution(substitution, compiled.groups);
  return (text) => compiled.replace(text, substitution);
}

function compileLinear(source: string): RE2JS {
  try {
    return RE2JS.compile(source);
  } catch (cause: unknown) {
    throw new ConfigError("regex", cause instanceof Error ? cause.message : "is invalid");
  }
}

function checkSubstitution(substitution: string, groups: number): void {
  for (let index = 0; index < substitution.length; index += 1) {
    if (substitution[index] !== "\\") continue;
    index += 1;
    const letter = substitution[index] ?? "";
    if (letter === "\\") continue;
    if (!/^\d$/.test(letter))
      throw new ConfigError("substitution", "has a backslash before neither digit nor backslash");
    if (Number(letter) > groups) throw new ConfigError("substitution", `names group ${letter} of ${groups}`);
  }
}

type Groups = readonly (string | undefined)[];

function substitute(substitution: string, groups: Groups): string {
  if (!substitution.includes("\\")) return substitution;
  return substitution.replaceAll(/\\(\d|\\)/g, (_, digit: string) =>
    digit === "\\" ? "\\" : (groups[Number(digit)] ?? ""),
  );
}

class LinearRegex implements Regex {
  readonly #linear: RE2JS;
  readonly groups: number;

  constructor(linear: RE2JS) {
    this.#linear = linear;
    this.groups = linear.groupCount();
  }

  test(text: string): boolean {
    return this.#linear.testExact(text);
  }

  replace(text: string, substitution: string): string {
    let result = "";
    let end = 0;
    let isFirst = true;
    for (const match of this.#linear.matchAll(text)) {
      const start = match.index ?? 0;
      // RE2 takes no empty match that touches the one before.
      if (match[0] === "" && start === end && !isFirst) continue;
      result += text.slice(end, start) + substitute(substitution, match);
      end = start + match[0].length;
      isFirst = false;
    }
    return result + text.slice(end);
  }
}

class PlainRegex implements Regex {
  readonly groups: number;
  readonly #whole: RegExp;
  readonly #anywhere: RegExp;
  readonly #limit: number;
  readonly #linear: LinearRegex;

  constructor(source: string, flags: string, { limit, linear }: { readonly limit: number; readonly linear: RE2JS }) {
    this.groups = linear.groupCount();
    this.#whole = new RegExp(`^(?:${source})$`, flags);
    this.#anywhere = new RegExp(source, `g${flags}`);
    this.#limit = limit;
    this.#linear = new LinearRegex(linear);
  }

  test(text: string): boolean {
    return text.length <= this.#limit ? this.#whole.test(text) : this.#linear.test(text);
  }

  replace(text: string, substitution: string): string {
    if (text.length > this.#limit) return this.#linear.replace(text, substitution);
    let end = -1;
    return text.replace(this.#anywhere, (match: string, ...rest: unknown[]) => {
      const offset = rest.findIndex((part) => typeof part === "number");
      const start = Number(rest[offset]);
      if (match === "" && start === end) return "";
      end = start + match.length;
      return substitute(substitution, [match, ...rest.slice(0, offset).map((group) => group as string | undefined)]);
    });
  }
}
