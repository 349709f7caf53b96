import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import type { HttpMatch } from "../../api/virtual-service/schema.ts";
import { buildRouteMatch, isCatchAllMatch } from "./route-match.ts";
import type { RouteSemantics } from "./route-semantics.ts";

const json = (match: HttpMatch | undefined, semantics: RouteSemantics = "istio"): unknown =>
  toJson("envoy.config.route.v3.RouteMatch", buildRouteMatch(match, semantics));

const anyPath = { prefix: "/", case_sensitive: true };

describe("buildRouteMatch", () => {
  const cases: readonly (readonly [string, HttpMatch | undefined, unknown])[] = [
    ["no match", undefined, { prefix: "/" }],
    ["an empty match", {}, anyPath],
    ["an exact path", { uri: { exact: "/a" } }, { path: "/a", case_sensitive: true }],
    ["a prefix without case", { uri: { prefix: "/A" }, ignoreUriCase: true }, { prefix: "/A", case_sensitive: false }],
    ["a regex", { uri: { regex: "/r/[0-9]+" } }, { safe_regex: { regex: "/r/[0-9]+" }, case_sensitive: true }],
    [
      "headers sorted, then method, authority and scheme",
      {
        scheme: { exact: "https" },
        method: { exact: "GET" },
        authority: { prefix: "a." },
        headers: { "x-b": { regex: "v.*" }, "x-a": { prefix: "p" } },
      },
      {
        ...anyPath,
        headers: [
          { name: "x-a", string_match: { prefix: "p" } },
          { name: "x-b", string_match: { safe_regex: { regex: "v.*" } } },
          { name: ":method", string_match: { exact: "GET" } },
          { name: ":authority", string_match: { prefix: "a." } },
          { name: ":scheme", string_match: { exact: "https" } },
        ],
      },
    ],
    [
      "presence by an empty match or the regex *",
      { headers: { a: {}, b: { regex: "*" } }, queryParams: { q: { regex: "*" } } },
      {
        ...anyPath,
        headers: [
          { name: "a", present_match: true },
          { name: "b", present_match: true },
        ],
        query_parameters: [{ name: "q", present_match: true }],
      },
    ],
    [
      "absent headers",
      { withoutHeaders: { "x-skip": {}, "x-v": { exact: "1" } } },
      {
        ...anyPath,
        headers: [
          { name: "x-skip", present_match: true, invert_match: true },
          { name: "x-v", string_match: { exact: "1" }, invert_match: true, treat_missing_header_as_empty: true },
        ],
      },
    ],
    [
      "query parameters",
      { queryParams: { debug: { exact: "true" }, a: { prefix: "b" } } },
      {
        ...anyPath,
        query_parameters: [
          { name: "a", string_match: { prefix: "b" } },
          { name: "debug", string_match: { exact: "true" } },
        ],
      },
    ],
  ];

  it.each(cases)("builds %s", (_name, match, expected) => {
    expect(json(match)).toEqual(expected);
  });

  it("compares whole path segments for Ingress and the Gateway API", () => {
    expect(json({ uri: { prefix: "/a/" } }, "ingress")).toEqual({ path_separated_prefix: "/a", case_sensitive: true });
    expect(json({ uri: { prefix: "/a" } }, "gateway")).toEqual({ path_separated_prefix: "/a", case_sensitive: true });
    expect(json({ uri: { prefix: "/" } }, "gateway")).toEqual(anyPath);
  });

  it.each([
    ["@request.auth.claims.group.id", ["payload", "group", "id"]],
    ["@request.auth.claims[group][example.com/id]", ["payload", "group", "example.com/id"]],
  ])("matches the claim %s in the request's metadata", (name, path) => {
    const value = { string_match: { exact: "admin" } };
    const matcher = {
      filter: "envoy.filters.http.jwt_authn",
      path: path.map((key) => ({ key })),
      value: { or_match: { value_matchers: [{ list_match: { one_of: value } }, value] } },
    };
    expect(json({ headers: { [name]: { exact: "admin" } } })).toEqual({ ...anyPath, dynamic_metadata: [matcher] });
    expect(json({ withoutHeaders: { [name]: { exact: "admin" } } })).toEqual({
      ...anyPath,
      dynamic_metadata: [{ ...matcher, invert: true }],
    });
  });
});

describe("isCatchAllMatch", () => {
  const cases: readonly (readonly [HttpMatch | undefined, boolean])[] = [
    [undefined, true],
    [{}, true],
    [{ uri: { regex: ".*" } }, true],
    [{ uri: { prefix: "/a" } }, false],
    [{ uri: { exact: "/" } }, false],
    [{ headers: { a: {} } }, false],
    [{ queryParams: { a: {} } }, false],
    [{ headers: { "@request.auth.claims.a": { exact: "b" } } }, false],
  ];

  it.each(cases)("tells %j", (match, expected) => {
    expect(isCatchAllMatch(buildRouteMatch(match, "istio"))).toBe(expected);
  });
});
