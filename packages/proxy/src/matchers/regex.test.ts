import { expect, test } from "vitest";
import { ConfigError } from "../lib/config-error.ts";
import { parsePlainRegex } from "./plain-regex.ts";
import { compileRegex, compileReplacement } from "./regex.ts";

test.each([
  ["/a/.*", "/a/b", true],
  ["a", "ba", false],
  ["a|ab", "ab", true],
  ["^a$", "a", true],
  ["(?i)ABC", "abC", true],
  ["(?i:a)B", "AB", true],
  ["\\d{3}", "123", true],
  ["\\d{3}", "1234", false],
  ["[[:alpha:]]+", "abc", true],
  ["\\pL+", "abc", true],
  ["a\\Cb", "a/b", true],
  ["\\s", "\v", false],
  ["a.b", "a\u2028b", true],
  ["a.b", "a\nb", false],
  ["(?s)a.b", "a\nb", true],
  ["(?P<id>[0-9]+)/x", "12/x", true],
  ["\\Qa.b\\E", "a.b", true],
  ["(a*)*b", "aaab", true],
  ["(a|a)*b", "aaac", false],
  ["", "", true],
  ["", "x", false],
  ["a\\.b", "axb", false],
  ["[^/]+/x?", "abc/", true],
  ["(foo|bar)(baz)?", "barbaz", true],
])("%j on %j is %s", (regex, text, expected) => {
  expect(compileRegex(regex).test(text)).toBe(expected);
});

test.each(["(", "a++", "(?=a)", "(?<!a)b", "\\1", "[z-a]", "a{1001}", "*a", "\\Z"])("refuses %j", (regex) => {
  expect(() => compileRegex(regex)).toThrow(ConfigError);
});

test.each([
  ["/a/b/c", "/", "-", "-a-b-c"],
  ["/foo", ".*", "/bar", "/bar"],
  ["baaac", "a*", "-", "-b-c-"],
  ["/service/foo/v1", "^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/v1/instance/foo"],
  ["abc", "(x)?b", "[\\1]", "a[]c"],
  ["abc", "b", "\\0\\0\\\\", "abb\\c"],
  ["abc", "(?i)B", "$&", "a$&c"],
  ["/xx/", "(x+)+", "y", "/y/"],
  ["abc", "z", "y", "abc"],
])("%j with %j for %j is %j", (text, regex, substitution, expected) => {
  expect(compileReplacement(regex, substitution)(text)).toBe(expected);
});

test.each(["\\2", "\\", "\\x"])("refuses the substitution %j", (substitution) => {
  expect(() => compileReplacement("(a)", substitution)).toThrow(ConfigError);
});

test("patterns that may backtrack without end are not given to the platform", () => {
  for (const pattern of ["(a*)*", "(a|b)+", "(?:x?)*", "(a+){2,}", "\\pL", "(?s).", "[[:alpha:]]", "é"]) {
    expect(parsePlainRegex(pattern), pattern).toBeUndefined();
  }
  expect(parsePlainRegex("/a.*")).toEqual({ source: "/a[^\\n]*", flags: "", repetitions: 1 });
  expect(parsePlainRegex("(?i)(ab)+c?")).toEqual({ source: "(ab)+c?", flags: "i", repetitions: 1 });
});

test("long texts cost linear time", () => {
  const long = "a".repeat(20_000);
  expect(compileRegex("(a+)+b").test(long)).toBe(false);
  expect(compileRegex("a*a*a*a*b").test(long)).toBe(false);
  expect(compileRegex(".*a.*b.*c").test(long)).toBe(false);
});
