import { expect, test } from "vitest";
import { parseLocation } from "./redirect-location.ts";

// As a real Envoy 1.40 follows them.
test.each([
  ["http://A.example/plain/../plain/q", "A.example", "/plain/../plain/q"],
  ["HTTP://a/x", "a", "/x"],
  ['http://a/a"b|\\c?d={e}', "a", '/a"b|\\c?d={e}'],
  ["http://a/%41%zz", "a", "/%41%zz"],
  ["http://a/x?y#f?z#g", "a", "/x?y"],
  ["http://a/#f", "a", "/"],
  ["http://a", "a", "/"],
  ["http://a?q=1", "a", "?q=1"],
  ["http://user:p%20w@a:80/x", "a:80", "/x"],
  ["http://@a/x@y", "a", "/x@y"],
  ["http://a:0080//x", "a:0080", "//x"],
  ["http://[::1]:81/x", "[::1]:81", "/x"],
  ["http://[1.2.3.4]/x", "[1.2.3.4]", "/x"],
])("%j leads to %j, %j", (text, authority, path) => {
  expect(parseLocation(text)).toEqual({ isHttp: true, authority, path });
});

test.each(["hTTps://a/x", "ftp://a/x", "x-y.z2+://a/x"])("%j is not of http", (text) => {
  expect(parseLocation(text)?.isHttp).toBe(false);
});

test.each([
  ...["", "*", "/x", "x", "//a/x", "http:/x", "http://", "http:///x", "://a/x", "1http://a/x", "a.example:80"],
  ...["http://a/a b", "http://a/a\tb", "http://a/aéb", "http://a/x#a b", "http://a#f", "http://a:80#f"],
  ...["http://a:/x", "http://a:65536/x", "http://a:8a/x", "http://a:80:80/x", "http://a@/x", "http://u@v@a/x"],
  ...["http://a_b/x", "http://a%41/x", "http://a\\b/x", "http://a,b/x", "http://a~b/x", "http://::1/x"],
  ...["http://[]/x", "http://[zz]/x", "http://[::1/x", "http://[::1%25en0]/x", "http://[:::::]/x", "http://[::1]b/x"],
])("%j leads nowhere", (text) => {
  expect(parseLocation(text)).toBeUndefined();
});
