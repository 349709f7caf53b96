import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import { describe, expect, test } from "vitest";
import type { HttpRequest } from "./http-request.ts";
import { findMismatch, matchesHeader } from "./route-match.ts";

const request = (fields: Partial<HttpRequest>): HttpRequest => ({
  method: "GET",
  scheme: "http",
  path: "/",
  host: "a.example",
  forwardedProto: "http",
  headers: new Map(),
  metadata: {},
  isTls: false,
  hasCertificate: false,
  sample: 0,
  ...fields,
});

describe("paths", () => {
  const noCase = { case_sensitive: { value: false } };
  test.each<readonly [RouteMatch, string, boolean]>([
    [{ prefix: "/a" }, "/abc", true],
    [{ prefix: "/a" }, "/A", false],
    [{ prefix: "/a", ...noCase }, "/ABC", true],
    [{ prefix: "/a?b" }, "/a?b", false],
    [{ path: "/a" }, "/a?b=1", true],
    [{ path: "/a" }, "/a#f", true],
    [{ path: "/a" }, "/a/", false],
    [{ path: "/a", ...noCase }, "/A", true],
    [{ path_separated_prefix: "/a" }, "/a", true],
    [{ path_separated_prefix: "/a" }, "/a/b", true],
    [{ path_separated_prefix: "/a" }, "/ab", false],
    [{ path_separated_prefix: "/a", ...noCase }, "/A/b", true],
    [{ safe_regex: { regex: "/v[0-9]+" } }, "/v12?x=/v", true],
    [{ safe_regex: { regex: "/v[0-9]+" } }, "/v12/", false],
    [{ safe_regex: { regex: "/v[0-9]+" }, ...noCase }, "/V1", false],
    [{ connect_matcher: {} }, "/", false],
  ])("%j and %s: %s", (match, path, expected) => {
    expect(findMismatch(match, request({ path })) === undefined).toBe(expected);
  });

  test("a CONNECT request is for its own matcher alone", () => {
    expect(findMismatch({ connect_matcher: {} }, request({ method: "CONNECT" }))).toBeUndefined();
    expect(findMismatch({ prefix: "/" }, request({ method: "CONNECT" }))).toBe("path");
  });
});

describe("headers", () => {
  const present = request({ headers: new Map([["x", "Abc"]]) });
  const absent = request({});
  test.each<readonly [Omit<HeaderMatcher, "name">, boolean, boolean]>([
    [{ present_match: true }, true, false],
    [{ present_match: false }, false, true],
    [{ present_match: true, invert_match: true }, false, true],
    [{}, true, false],
    [{ string_match: { exact: "Abc" } }, true, false],
    [{ string_match: { exact: "abc" } }, false, false],
    [{ string_match: { exact: "abc", ignore_case: true } }, true, false],
    [{ string_match: { prefix: "A" } }, true, false],
    [{ string_match: { suffix: "bc" } }, true, false],
    [{ string_match: { contains: "b" } }, true, false],
    [{ string_match: { safe_regex: { regex: "A" } } }, false, false],
    [{ string_match: { safe_regex: { regex: "A.*" } } }, true, false],
    [{ string_match: { exact: "Abc" }, invert_match: true }, false, false],
    [{ string_match: { exact: "no" }, invert_match: true }, true, false],
    [{ string_match: { exact: "no" }, invert_match: true, treat_missing_header_as_empty: true }, true, true],
    [{ string_match: { exact: "" }, treat_missing_header_as_empty: true }, false, true],
    [{ exact_match: "Abc" }, true, false],
    [{ prefix_match: "A" }, true, false],
  ])("%j: present %s, absent %s", (matcher, whenPresent, whenAbsent) => {
    expect(matchesHeader({ name: "X", ...matcher }, present)).toBe(whenPresent);
    expect(matchesHeader({ name: "X", ...matcher }, absent)).toBe(whenAbsent);
  });

  test.each([
    ["4", false],
    ["5", true],
    ["9", true],
    ["10", false],
    ["five", false],
  ])("a range from 5 to before 10 and %s: %s", (value, expected) => {
    const matcher = { name: "x", range_match: { start: "5", end: "10" } };
    expect(matchesHeader(matcher, request({ headers: new Map([["x", value]]) }))).toBe(expected);
  });

  test.each([
    [":method", "GET"],
    [":authority", "a.example"],
    [":scheme", "http"],
    [":path", "/"],
  ])("%s is %s", (name, exact) => {
    expect(matchesHeader({ name, string_match: { exact } }, request({}))).toBe(true);
  });
});

test.each<readonly [Omit<QueryParameterMatcher, "name">, string, boolean]>([
  [{ present_match: true }, "?q", true],
  [{}, "?q=1", true],
  [{ present_match: true }, "?p=q", false],
  [{ string_match: { exact: "1" } }, "?a=2&q=1", true],
  [{ string_match: { exact: "1" } }, "?q=2&q=1", false],
  [{ string_match: { exact: "a=b" } }, "?q=a=b", true],
  [{ string_match: { safe_regex: { regex: "[0-9]+" } } }, "?q=12", true],
  [{ string_match: { exact: "" } }, "", false],
])("parameter %j and %j: %s", (matcher, query, expected) => {
  const match = { prefix: "/", query_parameters: [{ name: "q", ...matcher }] };
  expect(findMismatch(match, request({ path: `/${query}` })) === undefined).toBe(expected);
});

test.each([
  [0, true],
  [24, true],
  [25, false],
])("a fraction of a quarter and the dice at %s: %s", (sample, expected) => {
  const fraction = { default_value: { numerator: 250_000, denominator: "MILLION" } } as const;
  expect(findMismatch({ prefix: "/", runtime_fraction: fraction }, request({ sample })) === undefined).toBe(expected);
});

test.each([
  ["application/grpc", undefined],
  ["application/grpc+proto", undefined],
  ["application/grpc-web", "content-type of gRPC"],
])("content type %s and gRPC", (type, mismatch) => {
  expect(findMismatch({ prefix: "/", grpc: {} }, request({ headers: new Map([["content-type", type]]) }))).toBe(
    mismatch,
  );
});

describe("metadata", () => {
  const value = { list_match: { one_of: { string_match: { exact: "admin" } } } };
  const matcher = { filter: "jwt", path: [{ key: "claims" }, { key: "groups" }], value };
  test.each([
    [{ jwt: { claims: { groups: ["user", "admin"] } } }, true],
    [{ jwt: { claims: { groups: ["user"] } } }, false],
    [{ jwt: { claims: { groups: "admin" } } }, false],
    [{ jwt: { claims: "admin" } }, false],
    [{}, false],
  ])("%j: %s", (metadata, expected) => {
    const passes = (invert: boolean): boolean =>
      findMismatch({ prefix: "/", dynamic_metadata: [{ ...matcher, invert }] }, request({ metadata })) === undefined;
    expect([passes(false), passes(true)]).toEqual([expected, !expected]);
  });
});
