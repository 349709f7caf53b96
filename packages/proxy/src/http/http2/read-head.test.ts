import { describe, expect, it } from "vitest";
import { checkTrailers, readHead } from "./read-head.ts";

const limits = { maxHeadBytes: 1_000, maxHeaders: 10, underscores: "ALLOW", allowsConnect: true } as const;
const good = [":method", "GET", ":scheme", "https", ":authority", "a:1", ":path", "/x?y"];
const invalid = "http2.invalid.header.field";
const broken = "http2.violation.of.messaging.rule";

/** The good head with some of its pseudo headers changed; `undefined` leaves one out. */
function change(changes: Readonly<Record<string, string | undefined>>, ...more: readonly string[]): string[] {
  const raw: string[] = [];
  for (let index = 0; index < good.length; index += 2) {
    const [name = "", value = ""] = [good[index], good[index + 1]];
    const changed = name in changes ? changes[name] : value;
    if (changed !== undefined) raw.push(name, changed);
  }
  return [...raw, ...more];
}

describe("heads of requests", () => {
  it.each<readonly [string, readonly string[], object]>([
    ["a plain one", good, { method: "GET", scheme: "https", authority: "a:1", path: "/x?y", upgrade: undefined }],
    ["a host in place of the authority", change({ ":authority": undefined }, "host", "b"), { authority: "b" }],
    ["a host beside it, which goes no further", change({}, "host", "b"), { authority: "a:1", headers: { raw: [] } }],
    [
      "crumbs of a cookie",
      change({}, "cookie", "a=1", "x", "1", "cookie", "b=2"),
      {
        headers: { raw: ["x", "1", "cookie", "a=1; b=2"] },
      },
    ],
    ["white space around a value", change({}, "x", " \t1 "), { headers: { raw: ["x", " \t1 "] } }],
    ["TE of trailers alone", change({}, "te", "trailers"), { headers: { raw: ["te", "trailers"] } }],
    ["TE in another spelling, which goes no further", change({}, "te", "Trailers"), { headers: { raw: [] } }],
    ["a length", change({}, "content-length", "003"), { contentLength: 3 }],
    ["OPTIONS of everything", change({ ":method": "OPTIONS", ":path": "*" }), { path: "*" }],
    ["CONNECT", [":method", "CONNECT", ":authority", "a:1"], { method: "CONNECT", path: "", upgrade: "connect" }],
    [
      "extended CONNECT",
      [":protocol", "WebSocket", ...change({ ":method": "CONNECT" })],
      {
        method: "GET",
        path: "/x?y",
        upgrade: "websocket",
      },
    ],
  ])("%s", (_name, raw, expected) => {
    expect(readHead(raw, limits, false)).toMatchObject({ kind: "head", head: expected });
  });

  it.each<readonly [string, string, readonly string[]]>([
    ["no method", broken, change({ ":method": undefined })],
    ["no scheme", broken, change({ ":scheme": undefined })],
    ["no path", broken, change({ ":path": undefined })],
    ["no authority and no host", broken, change({ ":authority": undefined })],
    ["two methods", invalid, [":method", "GET", ...good]],
    ["a pseudo header after a header", invalid, ["x", "1", ...good]],
    ["one that nobody knows", invalid, [":x", "1", ...good]],
    ["a method that is no token", invalid, change({ ":method": "GET /" })],
    ["a scheme that is none", invalid, change({ ":scheme": "ht tp" })],
    ["an empty path", invalid, change({ ":path": "" })],
    ["a path with a space", invalid, change({ ":path": "/x y" })],
    ["a path that is none", invalid, change({ ":path": "x" })],
    ["everything of GET", invalid, change({ ":path": "*" })],
    ["a user in the authority", invalid, change({ ":authority": "u@b" })],
    ["an empty authority", invalid, change({ ":authority": "" })],
    ["two hosts", invalid, change({}, "host", "a", "host", "a")],
    ["a host that is none", invalid, change({}, "host", "a/b")],
    ["a name in capitals", invalid, change({}, "X", "1")],
    ["an empty name", invalid, change({}, "", "1")],
    ["a name with a space", invalid, change({}, "x y", "1")],
    ["a value with a line end", invalid, change({}, "x", "1\r\ny: 2")],
    ["a value with a NUL", invalid, change({}, "x", "\0")],
    ["a value with DEL", invalid, change({}, "x", "\x7f")],
    ["a connection header", invalid, change({}, "connection", "close")],
    ["transfer-encoding", invalid, change({}, "transfer-encoding", "chunked")],
    ["TE of something else", invalid, change({}, "te", "gzip")],
    ["a length that is no number", invalid, change({}, "content-length", "+3")],
    ["two lengths", invalid, change({}, "content-length", "3", "content-length", "3")],
    ["CONNECT with a path", broken, [":method", "CONNECT", ":authority", "a:1", ":path", "/"]],
    [
      "extended CONNECT without a path",
      broken,
      [":protocol", "x", ...change({ ":method": "CONNECT", ":path": undefined })],
    ],
    ["a protocol without CONNECT", broken, [":protocol", "x", ...good]],
  ])("costs the connection: %s", (_name, details, raw) => {
    expect(readHead(raw, limits, false)).toEqual({ kind: "malformed", details });
  });
});

describe("limits of heads", () => {
  it("takes an extended CONNECT only where that was announced", () => {
    const raw = [":protocol", "websocket", ...change({ ":method": "CONNECT" })];
    expect(readHead(raw, { ...limits, allowsConnect: false }, false).kind).toBe("malformed");
  });

  it.each<readonly [string, readonly string[], string]>([
    ["10 headers", change({}, ..."abcdef".split("").flatMap((name) => [name, "1"])), "head"],
    ["11 headers", change({}, ..."abcdefg".split("").flatMap((name) => [name, "1"])), "refused"],
    ["1,000 bytes", change({}, "x", "a".repeat(1_000 - good.join("").length - 1)), "head"],
    ["1,001 bytes", change({}, "x", "a".repeat(1_000 - good.join("").length)), "refused"],
  ])("%s", (_name, raw, kind) => {
    expect(readHead(raw, limits, false).kind).toBe(kind);
  });

  it.each([
    ["ALLOW", "head", ["x_y", "1", "z", "2"]],
    ["DROP_HEADER", "head", ["z", "2"]],
    ["REJECT_REQUEST", "refused", undefined],
  ] as const)("has underscores where it is said so: %s", (underscores, kind, raw) => {
    const read = readHead(change({}, "x_y", "1", "z", "2"), { ...limits, underscores }, false);
    expect(read.kind).toBe(kind);
    expect(read.kind === "head" ? read.head.headers.raw : undefined).toEqual(raw);
    expect(read.kind === "head" ? read.head.droppedHeaders : 0).toBe(underscores === "DROP_HEADER" ? 1 : 0);
  });

  it("is no shorter than it says, but for CONNECT", () => {
    expect(readHead(change({}, "content-length", "3"), limits, true).kind).toBe("malformed");
    expect(readHead(change({}, "content-length", "0"), limits, true).kind).toBe("head");
    const tunnel = [":method", "CONNECT", ":authority", "a:1", "content-length", "3"];
    expect(readHead(tunnel, limits, true).kind).toBe("head");
  });
});

describe("trailers", () => {
  it.each<readonly [readonly string[], string | undefined]>([
    [["x", "1", "grpc-status", "0"], undefined],
    [[], undefined],
    [[":path", "/"], invalid],
    [["X", "1"], invalid],
    [["x", "a\nb"], invalid],
    [["connection", "close"], invalid],
    [["transfer-encoding", "chunked"], invalid],
  ])("%j", (raw, details) => {
    expect(checkTrailers(raw)).toBe(details);
  });
});
