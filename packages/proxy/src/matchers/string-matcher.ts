import type { ListStringMatcher, RegexMatcher, StringMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { compileRegex } from "./regex.ts";

type TestText = (text: string) => boolean;

/** A test of texts. Throws ConfigError. `ignore_case` has no meaning for regular expressions, as in Envoy. */
export function compileStringMatcher(wire: StringMatcher): TestText {
  const isAnyCase = wire.ignore_case === true;
  if (wire.exact !== undefined) return isAnyCase ? equalAnyCase(wire.exact) : equal(wire.exact);
  for (const kind of ["prefix", "suffix", "contains"] as const) {
    const part = wire[kind];
    if (part === undefined) continue;
    if (part === "") throw new ConfigError(kind, "must not be empty");
    return isAnyCase ? anyCase(partTests[kind](part.toLowerCase())) : partTests[kind](part);
  }
  const { safe_regex: regex } = wire;
  if (regex !== undefined) return within("safe_regex", () => compileRegexMatcher(regex));
  if (wire.custom !== undefined) {
    throw new ConfigError("custom", `the matcher ${wire.custom.name ?? ""} is not supported`);
  }
  throw new ConfigError("", "one of exact, prefix, suffix, contains, safe_regex is required");
}

/** True where any of them matches. */
export function compileListStringMatcher(wire: ListStringMatcher): TestText {
  const tests = compileAll("patterns", wire.patterns, compileStringMatcher);
  return (text) => tests.some((test) => test(text));
}

/** A test of whole texts. `max_program_size` is outdated and bounds nothing any more. */
export function compileRegexMatcher(wire: RegexMatcher): TestText {
  const regex = compileRegex(wire.regex ?? "");
  return (text) => regex.test(text);
}

const partTests = {
  prefix: (part: string) => (text: string) => text.startsWith(part),
  suffix: (part: string) => (text: string) => text.endsWith(part),
  contains: (part: string) => (text: string) => text.includes(part),
};

function equal(expected: string): TestText {
  return (text) => text === expected;
}

function equalAnyCase(expected: string): TestText {
  const lower = expected.toLowerCase();
  return (text) => text.length === lower.length && text.toLowerCase() === lower;
}

function anyCase(test: TestText): TestText {
  return (text) => test(text.toLowerCase());
}
