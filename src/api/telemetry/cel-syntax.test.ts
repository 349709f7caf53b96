import fc from "fast-check";
import { expect, test } from "vitest";
import { findExpressionFault } from "./cel-syntax.ts";

test.each([
  "response.code >= 400",
  "!has(request.headers) || request.headers['x'] == \"y\"",
  "has(a.b) && has((a.b.c))",
  "[1, 2,].all(x, x > 1) ? -1 : !-2.5e3",
  "a ? b : c ? d : e",
  "{'a': 1u, 0x1F: b'\\x41',}.size() in [null]",
  "google.Type{a: 1, b: .5,}",
  ".a.b(c).for[0] // the rest says nothing",
  "r'\\' + '''two\nlines''' + '\\u00e9'",
  "-9223372036854775808 < 18446744073709551615u",
  "a.map(b) && a.map(x, x, x)",
  "[,] == {,}",
  "f()",
])("%s is an expression", (text) => expect(findExpressionFault(text)).toBeUndefined());

test.each([
  ["", "unexpected end at character 1"],
  ["a ==", "unexpected end at character 5"],
  ["a = b", 'unexpected "=" at character 3'],
  ["a b", 'unexpected "b" at character 3'],
  ["a ? b", "unexpected end at character 6"],
  ["a ? b ? c : d : e", 'unexpected "?" at character 7'],
  ["(a", "unexpected end at character 3"],
  ["f(a,)", 'unexpected ")" at character 5'],
  ["[a,,]", 'unexpected "," at character 4'],
  ["a.?b", 'unexpected "?" at character 3'],
  ["!-a", 'unexpected "a" at character 3'],
  ["a.in", 'unexpected "in" at character 3'],
  ["'a", 'unexpected "\'" at character 1'],
  ["'\\q'", 'unexpected "\'" at character 1'],
  ["'\\ud800'", "\\ud800 is not a character at character 1"],
  ["b'\\u0041'", "bytes cannot have characters by number at character 1"],
  ["1 + for", '"for" is a reserved word at character 5'],
  ["9223372036854775808", "number is too large at character 1"],
  ["1e999", "number is too large at character 1"],
  ["18446744073709551616u", "number is too large at character 1"],
  ["has(a)", "the argument of has() must be a field, such as a.b at character 1"],
  ["a.all(b.c, d)", "the first argument of all() must be the name of a variable at character 7"],
  [`${"(".repeat(300)}a${")".repeat(300)}`, "is nested deeper than 250 levels at character 251"],
  ["a".repeat(100_001), "it is longer than 100000 characters"],
])("%.40s is none: %s", (text, fault) => expect(findExpressionFault(text)).toBe(fault));

test("never throws", () => {
  const words = fc.constantFrom(
    "a",
    ".",
    "(",
    ")",
    "[",
    "{",
    ",",
    "?",
    ":",
    "-",
    "!",
    "1",
    "'",
    '"',
    "has(",
    "\\",
    "//",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(words).map((all) => all.join("")),
  );
  fc.assert(
    fc.property(text, (expression) => ["string", "undefined"].includes(typeof findExpressionFault(expression))),
  );
});
