/** Requests that say doubtfully what they are for: targets, paths, hosts, names and sizes of headers, Connection. */
import { crlf, family, type Http1Input, type Http1Row, head, smuggled } from "./http1-input.ts";

const trickyPaths = [
  "/a/../smuggled", "/a/..", "/../smuggled", "/..", "/.", "/./a", "/a/./b", "/a/%2e%2e/smuggled", "/a/%2E./b", "/%2e", "/a//b",
  "//a", "/a/..;/b", "/a;/../b", "/a;x=1/b", "/a%2fb", "/a%2F..%2Fb", "/a%5cb", "/a\\b", "/a\\..\\b", "/%5c../b", "/%252e%252e/b",
  "/%252f", "/a%00b", "/a%", "/a%2", "/a%zz", "/%41", "/%7e", "/a?b/../c", "/a?b%2fc", "/a?//b", "/a%3fb", "/a%23b", "/.../a",
  "/..a", "/a..", "/a/.../b", "/a/b/../../../c", "/a/../../b", "/%c0%ae%c0%ae/b", "/%e0%80%ae/b", "/a%0d%0ab", "/a%09b", "/a/.%2e",
  "/a/%2e", "/a/b/", "/a/b/.", "/a/b/..", "/a//../b", "/a/;/../b", "//../b", "/%2f%2f", "/a|b", "/a\"b", "/a^b",
] as const;

export const targetInputs: readonly Http1Input[] = [
  ...targets(),
  ...hosts(),
  ...paths(),
  ...names(),
  ...connections(),
  ...proxyHeaders(),
  ...sizes(),
];

function get(target: string): string {
  return head(`GET ${target} HTTP/1.1`) + smuggled;
}

function targets(): readonly Http1Input[] {
  const rows = [
    "http://b/x", "http://b", "http://b?x=1", "http://b:81/x", "HTTP://B/x", "https://b/x", "http://b/x y", "http://b#x",
    "http://b/x#y", "http://[::1]/x", "http://[::1/x", "http://b:/x", "http://b:x/", "http://@b/", "http://b@c/", "http:/b/x",
    "http:b", "//b/x", "///x", "/x?y?z", "/?", "/x?http://b/", "/%", "/%zz", "/%00", "/%0d%0aX:%20y", "/x%20y", "/x;y=z", "/\\x",
    "/{x}", "/x|y", "/\"x\"", "/<x>", "/`", "/^", "/x#", "*", "*/x", "ws://b/x", "file:///x", "b:80", "?x", "x", "/:80", "/@b", "/x:y",
  ];
  return [
    ...family("target", "plain", rows.map((target): Http1Row => [target, get(target)])),
    ...family("target", "plain", [
      ["OPTIONS *", head("OPTIONS * HTTP/1.1") + smuggled],
      ["OPTIONS *x", head("OPTIONS *x HTTP/1.1") + smuggled],
      ["OPTIONS of a URL without path", head("OPTIONS http://b HTTP/1.1") + smuggled],
      ["POST *", head("POST * HTTP/1.1") + smuggled],
      ["none", head("GET  HTTP/1.1") + smuggled],
      ["only a space", head("GET   HTTP/1.1") + smuggled],
      ["a request in it", head(`GET /${smuggled.replaceAll(crlf, " ")} HTTP/1.1`) + smuggled],
    ]),
  ];
}

function hosts(): readonly Http1Input[] {
  const withHost = (...lines: readonly string[]): string => ["GET / HTTP/1.1", ...lines, "", smuggled].join(crlf);
  const values = ["a:80", "a:", "a:x", "a:99999", "a:80:80", "a,b", "a, b", "[::1]", "[::1]:80", "[::1", "::1", "a..b", ".a", "a.", "A", "%61", "a%00", "user@a", "a;b", "a'b", "$a", "*", "-", "_", " a", "a ", ""];
  return [
    ...family("host", "plain", [
      ...values.map((value): Http1Row => [JSON.stringify(value), withHost(`Host: ${value}`)]),
      ["with a tab", withHost("Host:\ta")],
      ["folded", withHost("Host: a", " b")],
      ["after other headers", withHost("X: a", "Host: a")],
      ["with a space before the colon", withHost("Host : a")],
      ["in capitals", withHost("HOST: a")],
      ["two with white space", withHost("Host: a", " Host: b")],
      ["one empty, one good", withHost("Host:", "Host: a")],
      ["another one in the target", `GET http://b/ HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
      ["an empty one with a target", `GET http://b/ HTTP/1.1${crlf}Host: ${crlf}${crlf}${smuggled}`],
      ["a bad one with a target", `GET http://b/ HTTP/1.1${crlf}Host: a/b${crlf}${crlf}${smuggled}`],
      ["X-Forwarded-Host", withHost("Host: a", "X-Forwarded-Host: b")],
      ["X-Host and Forwarded", withHost("Host: a", "X-Host: b", "Forwarded: host=b")],
      [":authority", withHost("Host: a", ":authority: b")],
    ]),
    ...family("host that is changed", "hardened", ["a:80", "a:", "[::1]:80", "a:80:80", "a:x"].map((value): Http1Row => [value, withHost(`Host: ${value}`)])),
    ...family("host that is changed", "forward", ["a.", "a..", ".", "a.:80"].map((value): Http1Row => [value, withHost(`Host: ${value}`)])),
  ];
}


/** Each path with each way to make it normal: what goes on must be what Envoy makes of it. */
function paths(): readonly Http1Input[] {
  return (["mesh", "hardened", "forward"] as const).flatMap((profile) =>
    family(`path, ${profile}`, profile, trickyPaths.map((path): Http1Row => [path, get(path)])),
  );
}

function names(): readonly Http1Input[] {
  const line = (text: string): string => head("GET / HTTP/1.1", text) + smuggled;
  const rows = ["x_y: 1", "_: 1", "X-Forwarded_For: 1.2.3.4", "content_type: a", "x-: 1", "-: 1", "1: 1", "!: 1", "x'y: 1", "x: ", "x:", "x:1", "x:\t1\t", "x: a\tb", "x: \xe9", "x: \xff\xfe", "x: \x80", "x::1", "x: :", "x:y: 1", "\xe9: 1", "x\r: 1", "x: =?utf-8?q?a?=", "x: \"a\\\"", "x: ,", "__proto__: 1", "constructor: 1", "toString: 1", "hasOwnProperty: 1"];
  return (["plain", "hardened", "forward"] as const).flatMap((profile) =>
    family(`header, ${profile}`, profile, (profile === "plain" ? rows : rows.slice(0, 4)).map((text): Http1Row => [JSON.stringify(text), line(text)])),
  );
}

function connections(): readonly Http1Input[] {
  const values = ["close", "Close, x", "keep-alive", "keep-alive, close", "x", "x, y", ",", ",,x", "", "authorization", "cookie", "content-type", "x-envoy-internal", "te", "trailer", "expect", "upgrade", "host", "X-Forwarded-For", "x-request-id", "user-agent", "close;q=1", "x y", "\"x\"", ":method", "connection", "proxy-connection", "via"];
  return family("connection", "plain", [
    ...values.map((value): Http1Row => [
      JSON.stringify(value),
      head("GET / HTTP/1.1", `Connection: ${value}`, "X: 1", "Y: 2", "Authorization: z", "Cookie: a=b", "Content-Type: t", "TE: trailers", "User-Agent: u", "Via: v") + smuggled,
    ]),
    ["in two lines", head("GET / HTTP/1.1", "Connection: x", "Connection: y", "X: 1", "Y: 2") + smuggled],
    ["Proxy-Connection: close", head("GET / HTTP/1.1", "Proxy-Connection: close") + smuggled],
    ["Keep-Alive", head("GET / HTTP/1.1", "Keep-Alive: timeout=5") + smuggled],
    ["Proxy-Authorization", head("GET / HTTP/1.1", "Proxy-Authorization: x") + smuggled],
    ["hides it before", head("GET / HTTP/1.1", "X: 1", "Connection: x") + smuggled],
  ]);
}

/** Headers by which a client would speak to the proxy itself, or for it. */
function proxyHeaders(): readonly Http1Input[] {
  const lines = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: a, b", "X-Forwarded-Proto: https", "X-Forwarded-Proto: x", "X-Forwarded-Proto: ", "X-Envoy-Internal: true", "X-Envoy-Original-Path: /smuggled", "X-Envoy-Upstream-Rq-Timeout-Ms: x", "X-Envoy-Retry-On: 5xx", "X-Envoy-Max-Retries: 99", "X-Envoy-External-Address: 1.2.3.4", "X-Envoy-Decorator-Operation: x", "X-Original-URL: /smuggled", "X-Rewrite-URL: /smuggled", "X-HTTP-Method-Override: DELETE", "Cookie: a=b\r\nCookie: c=d", "Date: x", "Server: x", "Range: bytes=0-0,0-0", "Trailer: x", "TE: gzip", "TE: trailers"];
  return family("proxy header", "plain", lines.map((line): Http1Row => [line.replaceAll(crlf, "; "), head("GET / HTTP/1.1", line) + smuggled]));
}

function sizes(): readonly Http1Input[] {
  const many = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `x${index}: 1`);
  const large = (bytes: number): string => head("GET / HTTP/1.1", `x: ${"a".repeat(bytes)}`) + smuggled;
  return family("size", "plain", [
    ["90 headers", head("GET / HTTP/1.1", ...many(90)) + smuggled],
    ["100 headers", head("GET / HTTP/1.1", ...many(99)) + smuggled],
    ["101 headers", head("GET / HTTP/1.1", ...many(100)) + smuggled],
    ["1,000 headers", head("GET / HTTP/1.1", ...many(1_000)) + smuggled],
    ["a header of 50 kB", large(50_000)],
    ["a header of 61,300 bytes", large(61_300)],
    ["a header of 61,500 bytes", large(61_500)],
    ["a header of 200 kB", large(200_000)],
    ["a target of 20 kB", get(`/${"a".repeat(20_000)}`)],
    ["a target of 80 kB", get(`/${"a".repeat(80_000)}`)],
    ["a query of 50 kB", get(`/?${"a".repeat(50_000)}`)],
    ["a path of 2,000 segments", get("/a".repeat(2_000))],
    ["a host of 3 kB", `GET / HTTP/1.1${crlf}Host: ${"a".repeat(3_000)}${crlf}${crlf}${smuggled}`],
    ["a name of 10 kB", head("GET / HTTP/1.1", `${"x".repeat(10_000)}: 1`) + smuggled],
    ["the same header 90 times", head("GET / HTTP/1.1", ...Array.from({ length: 90 }, () => "x: 1")) + smuggled],
  ]);
}
