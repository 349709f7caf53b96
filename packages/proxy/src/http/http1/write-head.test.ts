import { expect, it } from "vitest";
import { HeaderList } from "../header-list.ts";
import { formatHead, formatTrailers } from "./write-head.ts";

it.each([
  ["a line end", "a\r\nb: 1", "a b: 1"],
  ["a character whose lower byte is a line end", "a\u010db\u010ac", "a\xc4\x8db\xc4\x8ac"],
  ["text beyond Latin-1", "\u2713", "\xe2\x9c\x93"],
  ["bytes", "\xe9\xff", "\xe9\xff"],
])("nothing that is in a value begins another header: %s", (_name, value, written) => {
  const headers = new HeaderList(["x", value]);
  const head = Buffer.from(formatHead(200, headers, { own: "", format: "lower" }), "latin1").toString("latin1");
  expect(head).toBe(`HTTP/1.1 200 OK\r\nx: ${written}\r\n\r\n`);
  expect(Buffer.from(formatTrailers(headers, "lower"), "latin1").toString("latin1")).toBe(`x: ${written}\r\n`);
});
