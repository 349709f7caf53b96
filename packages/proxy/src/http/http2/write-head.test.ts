import { describe, expect, it } from "vitest";
import { HeaderList } from "../header-list.ts";
import { formatHead, formatTrailers } from "./write-head.ts";

describe("heads of answers", () => {
  it.each<readonly [string, readonly string[], readonly string[]]>([
    ["keep their order, and what comes twice", ["x", "1", "etag", "a", "x", "2"], ["x", "1", "etag", "a", "x", "2"]],
    ["leave out what belongs to a connection", ["connection", "x", "upgrade", "h2c", "x", "1"], ["x", "1"]],
    ["leave out how HTTP/1 frames", ["transfer-encoding", "chunked", "http2-settings", "AA"], []],
    ["carry any byte", ["x", "\xe9"], ["x", "\xe9"]],
    ["carry text as UTF-8", ["x", "\u2713"], ["x", "\xe2\x9c\x93"]],
  ])("%s", (_name, raw, expected) => {
    expect(formatHead(200, new HeaderList([...raw]))).toEqual([":status", "200", ...expected]);
    expect(formatTrailers(new HeaderList([...raw]))).toEqual(expected);
  });

  it.each([
    ["a name that is none", ["x y", "1"]],
    ["a name in capitals", ["X", "1"]],
    ["a pseudo header", [":path", "/"]],
    ["a value with a line end", ["x", "1\r\n"]],
    ["wide text with one", ["x", "\u2713\n"]],
  ])("are refused with %s", (_name, raw) => {
    expect(() => formatHead(200, new HeaderList([...raw]))).toThrow("cannot carry");
  });
});
