import { expect, it } from "vitest";
import { HeaderList } from "../header-list.ts";
import { formatHead, takesLists, toObject } from "./write-head.ts";

it.each([
  ["22.19.0", false],
  ["22.20.0", true],
  ["23.11.0", false],
  ["24.6.0", false],
  ["24.7.0", true],
  ["25.0.0", true],
])("gives Node %s lists: %s", (version, expected) => {
  expect(takesLists(version)).toBe(expected);
});

const headers = new HeaderList([
  "x",
  "1",
  "etag",
  "a",
  "connection",
  "close",
  "x",
  "2",
  "etag",
  "b",
  "set-cookie",
  "c",
]);

it("joins the values of headers that may come once, and leaves out what is about a connection", () => {
  expect(formatHead(200, headers)).toEqual([":status", "200", "x", "1", "etag", "a, b", "x", "2", "set-cookie", "c"]);
});

it("says the same in the older form", () => {
  expect({ ...toObject(headers) }).toEqual({ x: ["1", "2"], etag: "a, b", "set-cookie": "c" });
});
