import fc from "fast-check";
import { expect, it } from "vitest";
import { GarbledWatchError, LineSplitter } from "./event-lines.ts";

it("gives the same lines wherever the bytes are cut", () => {
  const texts = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 8 });
  fc.assert(
    fc.property(texts, fc.array(fc.nat(40)), (given, sizes) => {
      const lines = given.map((text) => JSON.stringify(text));
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const splitter = new LineSplitter(1000);
      const found: string[] = [];
      let start = 0;
      for (const size of [...sizes, bytes.length]) {
        found.push(...splitter.push(bytes.subarray(start, start + size)));
        start += size;
      }
      expect(found).toEqual(lines);
      expect(splitter.pendingBytes).toBe(0);
    }),
  );
});

it("knows of a line that has no end yet", () => {
  const splitter = new LineSplitter(100);
  expect([...splitter.push(Buffer.from("one\ntwo"))]).toEqual(["one"]);
  expect(splitter.pendingBytes).toBe(3);
});

it("refuses a line that is too long before it is whole", () => {
  const splitter = new LineSplitter(5);
  expect([...splitter.push(Buffer.from("12345\n123"))]).toEqual(["12345"]);
  expect(() => [...splitter.push(Buffer.from("456"))]).toThrow(GarbledWatchError);
});
