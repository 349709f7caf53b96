import type { RegexMatchAndSubstitute, StringMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import { RE2JS } from "re2js";

/** Envoy's StringMatcher: one of its patterns; `ignore_case` has no effect on expressions. */
export function matchesText(matcher: StringMatcher, text: string): boolean {
  const { safe_regex: regex } = matcher;
  if (regex !== undefined) return matchesWhole(regex.regex ?? "", text);
  const fold = (value: string): string => (matcher.ignore_case === true ? value.toLowerCase() : value);
  if (matcher.exact !== undefined) return fold(text) === fold(matcher.exact);
  if (matcher.prefix !== undefined) return fold(text).startsWith(fold(matcher.prefix));
  if (matcher.suffix !== undefined) return fold(text).endsWith(fold(matcher.suffix));
  if (matcher.contains !== undefined) return fold(text).includes(fold(matcher.contains));
  throw new Error(`string matcher ${JSON.stringify(matcher)} is not simulated`);
}

/** Envoy's expressions must match the whole text. Throws on a syntax that RE2 does not know. */
export function matchesWhole(regex: string, text: string): boolean {
  return RE2JS.compile(regex).matches(text);
}

/** Envoy's regex rewrite: every match is replaced, "\1" stands for a group and "\\" for a backslash. */
export function substitute(rewrite: RegexMatchAndSubstitute, text: string): string {
  const matcher = RE2JS.compile(rewrite.pattern?.regex ?? "").matcher(text);
  let result = "";
  let end = 0;
  while (matcher.find()) {
    const replacement = (rewrite.substitution ?? "").replace(/\\(\d|\\)/g, (_, what: string) =>
      what === "\\" ? "\\" : (matcher.group(Number(what)) ?? ""),
    );
    result += text.slice(end, matcher.start()) + replacement;
    end = matcher.end();
  }
  return result + text.slice(end);
}
