import { expect, test } from "vitest";
import { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError } from "../lib/config-error.ts";
import { compileCidrs } from "./cidr.ts";
import { fractionOf } from "./fraction.ts";
import { compileHeaderListMatcher, compileHeaderMatcher, readRequestHeader } from "./header-matcher.ts";
import { compileMetadataMatcher, compileValueMatcher } from "./metadata-matcher.ts";
import { compilePathMatcher } from "./path-matcher.ts";
import { compileQueryMatcher } from "./query-matcher.ts";
import { compileStringMatcher } from "./string-matcher.ts";

test.each([
  [{ exact: "a" }, "a", true],
  [{ exact: "a" }, "A", false],
  [{ exact: "aB", ignore_case: true }, "Ab", true],
  [{ exact: "" }, "", true],
  [{ prefix: "/a" }, "/ab", true],
  [{ prefix: "/A", ignore_case: true }, "/ab", true],
  [{ suffix: ".com" }, "a.com", true],
  [{ suffix: ".com" }, "a.COM", false],
  [{ contains: "b" }, "abc", true],
  [{ contains: "B", ignore_case: true }, "abc", true],
  [{ safe_regex: { regex: "a+" } }, "aaa", true],
  [{ safe_regex: { regex: "A+" }, ignore_case: true }, "aaa", false],
])("string matcher %j on %j is %s", (wire, text, expected) => {
  expect(compileStringMatcher(wire)(text)).toBe(expected);
});

test.each([{}, { prefix: "" }, { safe_regex: { regex: "(" } }, { custom: { name: "lua" } }])(
  "refuses the string matcher %j",
  (wire) => {
    expect(() => compileStringMatcher(wire)).toThrow(ConfigError);
  },
);

const request: HttpRequest = {
  method: "GET",
  scheme: "http",
  authority: "a.com:80",
  path: "/p?q=1",
  headers: new HeaderList([
    ...["x-one", "1", "x-two", "a", "x-two", "b", "x-empty", "", "x-numbers", "x", "x-numbers", "5"],
    ...["x-blank", "a", "x-blank", "", "cookie", "a=b", "cookie", "user=jason"],
    ...["accept", "a", "accept", "b"],
  ]),
  body: undefined,
  protocol: "HTTP/1.1",
  upgrade: undefined,
};

test.each([
  [{ name: "X-One" }, true],
  [{ name: "x-none" }, false],
  [{ name: "x-none", invert_match: true }, true],
  [{ name: "x-one", present_match: false }, false],
  [{ name: "x-none", present_match: false }, true],
  [{ name: "x-none", present_match: false, invert_match: true }, false],
  [{ name: "x-two" }, true],
  [{ name: "x-two", present_match: false }, false],
  [{ name: "x-two", exact_match: "a" }, true],
  [{ name: "x-two", string_match: { exact: "b" } }, true],
  [{ name: "x-two", string_match: { exact: "c" } }, false],
  [{ name: "x-two", string_match: { prefix: "b" } }, true],
  [{ name: "x-two", string_match: { suffix: "a" } }, true],
  [{ name: "x-two", safe_regex_match: { regex: "b" } }, true],
  [{ name: "x-two", string_match: { exact: "a,b" } }, false],
  [{ name: "x-two", string_match: { contains: "a,b" } }, false],
  [{ name: "x-two", safe_regex_match: { regex: "a.*b" } }, false],
  [{ name: "x-two", string_match: { exact: "b" }, invert_match: true }, false],
  [{ name: "x-two", string_match: { exact: "c" }, invert_match: true }, true],
  [{ name: "x-two", string_match: { exact: "" }, treat_missing_header_as_empty: true }, false],
  [{ name: "x-blank", string_match: { exact: "" } }, true],
  [{ name: "x-numbers", range_match: { start: 1, end: 9 } }, true],
  [{ name: "x-numbers", range_match: { start: 1, end: 9 }, invert_match: true }, false],
  [{ name: "cookie", safe_regex_match: { regex: "^(.*?;)?(user=jason)(;.*)?$" } }, true],
  [{ name: "accept", string_match: { exact: "a,b" } }, true],
  [{ name: "accept", string_match: { exact: "b" } }, false],
  [{ name: "x-none", present_match: true, treat_missing_header_as_empty: true }, true],
  [{ name: "x-one", string_match: { exact: "2" }, invert_match: true }, true],
  [{ name: "x-none", string_match: { exact: "2" }, invert_match: true }, false],
  [{ name: "x-none", string_match: { exact: "2" }, invert_match: true, treat_missing_header_as_empty: true }, true],
  [{ name: "x-none", string_match: { exact: "" }, treat_missing_header_as_empty: true }, true],
  [{ name: "x-one", range_match: { start: 1, end: "2" } }, true],
  [{ name: "x-one", range_match: { start: 0, end: 1 } }, false],
  [{ name: "x-two", range_match: { start: 0, end: 1 } }, false],
  [{ name: ":authority", prefix_match: "a.com" }, true],
  [{ name: ":path", suffix_match: "q=1" }, true],
  [{ name: ":method", safe_regex_match: { regex: "G.T" } }, true],
  [{ name: ":scheme", contains_match: "ttp" }, true],
])("header matcher %j is %s", (wire, expected) => {
  expect(compileHeaderMatcher(wire)(request)).toBe(expected);
});

test.each([
  ["x-two", "b", true],
  ["x-two", "a,b", false],
  ["vary", "b", false],
  ["vary", "a,b", true],
  ["accept", "b", true],
])("the header %s of a response, in two lines, equals %j: %s", (name, exact, expected) => {
  const headers = new HeaderList([name, "a", name, "b"]);
  expect(compileHeaderListMatcher({ name, string_match: { exact } })(headers)).toBe(expected);
});

test("of several lines the first is read, unless Envoy takes them for one", () => {
  expect(["x-two", "accept", "x-none"].map((name) => readRequestHeader(name)(request))).toEqual([
    "a",
    "a,b",
    undefined,
  ]);
});

test.each([
  [{ name: "q", string_match: { exact: "1" } }, "/p?a&q=1&q=2", true],
  [{ name: "q", string_match: { exact: "2" } }, "/p?q=1&q=2", false],
  [{ name: "q", present_match: true }, "/p?q", true],
  [{ name: "q" }, "/p", false],
  [{ name: "q", string_match: { exact: "a b" } }, "/p?q=a%20b", false],
  [{ name: "q", string_match: { exact: "x" } }, "/p?q=x#y", true],
])("query matcher %j on %j is %s", (wire, path, expected) => {
  expect(compileQueryMatcher(wire)(path)).toBe(expected);
});

test("paths are matched without query and fragment", () => {
  const test = compilePathMatcher({ path: { exact: "/a" } });
  expect(["/a", "/a?b", "/a#c", "/a#c?d", "/ab"].map(test)).toEqual([true, true, true, true, false]);
});

test.each([
  [{ string_match: { prefix: "a" } }, "ab", true],
  [{ string_match: { prefix: "a" } }, 1, false],
  [{ double_match: { exact: 1.5 } }, 1.5, true],
  [{ double_match: { range: { start: 1, end: 2 } } }, 2, false],
  [{ bool_match: false }, false, true],
  [{ null_match: {} }, null, true],
  [{ null_match: {} }, undefined, false],
  [{ present_match: true }, 0, true],
  [{ present_match: false }, undefined, false],
  [{ list_match: { one_of: { bool_match: true } } }, [1, true], true],
  [{ list_match: { one_of: { bool_match: true } } }, true, false],
  [{ or_match: { value_matchers: [{ bool_match: true }, { double_match: { exact: 1 } }] } }, 1, true],
])("value matcher %j on %j is %s", (wire, value, expected) => {
  expect(compileValueMatcher(wire)(value)).toBe(expected);
});

test("metadata is looked up along a path", () => {
  const metadata = new Map([["f", { a: { b: "x" } }]]);
  const wire = { filter: "f", path: [{ key: "a" }, { key: "b" }], value: { string_match: { exact: "x" } } };
  expect(compileMetadataMatcher(wire)(metadata)).toBe(true);
  expect(compileMetadataMatcher({ ...wire, invert: true })(metadata)).toBe(false);
  expect(compileMetadataMatcher({ ...wire, path: [{ key: "toString" }] })(metadata)).toBe(false);
  expect(compileMetadataMatcher(wire)(new Map())).toBe(false);
});

test("addresses are looked up in ranges", () => {
  const test = compileCidrs([
    { address_prefix: "10.1.2.3", prefix_len: { value: 8 } },
    { address_prefix: "fd00::", prefix_len: { value: 16 } },
    { address_prefix: "1.2.3.4", prefix_len: { value: 32 } },
  ]);
  expect(["10.9.9.9", "11.0.0.0", "fd00::1", "fd01::1", "1.2.3.4", "nonsense"].map(test)).toEqual([
    true,
    false,
    true,
    false,
    true,
    false,
  ]);
  expect(() => compileCidrs([{ address_prefix: "a.b" }])).toThrow("[0].address_prefix");
});

test.each([
  [{ numerator: 50 }, 0.5],
  [{ numerator: 1, denominator: "MILLION" }, 0.000001],
  [{ numerator: 200 }, 1],
  [undefined, 0],
] as const)("the fraction %j is %d", (wire, expected) => {
  expect(fractionOf(wire)).toBe(expected);
});
