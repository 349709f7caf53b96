import { expect, test } from "vitest";
import { areTrailers, findHeaders, readHead } from "./grpc-head.ts";

const pseudo = [":method", "POST", ":scheme", "http", ":path", "/a.B/C", ":authority", "x"];

test.each<readonly [string, readonly string[]]>([
  ["a call of gRPC", [...pseudo, "content-type", "application/grpc", "te", "trailers"]],
  ["no authority", pseudo.slice(0, 6)],
  ["a path beyond ASCII, which is no method", [...pseudo.slice(0, 4), ":path", "/\u00e9"]],
  ["a value with white space", [...pseudo, "a", " b\t"]],
])("is a head: %s", (_what, raw) => {
  expect(readHead(raw)).toEqual({ method: "POST", path: raw[5], raw });
});

test.each<readonly [string, readonly string[]]>([
  ["nothing", []],
  ["no method", pseudo.slice(2)],
  ["no path", pseudo.slice(0, 4)],
  ["no scheme", [...pseudo.slice(0, 2), ...pseudo.slice(4)]],
  ["an empty path", [...pseudo.slice(0, 4), ":path", ""]],
  ["a path with a space", [...pseudo.slice(0, 4), ":path", "/a b"]],
  ["a pseudo header twice", [...pseudo, ":method", "POST"]],
  ["a pseudo header that nobody knows", [...pseudo, ":other", "a"]],
  ["one of an answer", [...pseudo, ":status", "200"]],
  ["one behind a header", [...pseudo.slice(0, 6), "a", "b", ":authority", "x"]],
  ["extended CONNECT", [...pseudo, ":protocol", "websocket"]],
  ["capitals", [...pseudo, "Content-Type", "application/grpc"]],
  ["an empty name", [...pseudo, "", "a"]],
  ["a line break", [...pseudo, "a", "b\r\nc: d"]],
  ["NUL", [...pseudo, "a", "\0"]],
  ["a header of the connection", [...pseudo, "connection", "close"]],
  ["transfer-encoding", [...pseudo, "transfer-encoding", "chunked"]],
  ["another te", [...pseudo, "te", "gzip"]],
])("is none: %s", (_what, raw) => {
  expect(readHead(raw)).toBeUndefined();
});

test.each<readonly [boolean, readonly string[]]>([
  [true, []],
  [true, ["a", "b"]],
  [false, [":path", "/"]],
  [false, ["A", "b"]],
  [false, ["connection", "close"]],
])("trailers: %s for %j", (areSome, raw) => {
  expect(areTrailers(raw)).toBe(areSome);
});

test("all values of a header, in order", () => {
  const raw = ["a", "1", "b", "a", "a", "2"];
  expect([findHeaders(raw, "a"), findHeaders(raw, "b"), findHeaders(raw, "c")]).toEqual([["1", "2"], ["a"], []]);
});
