import { expect, it } from "vitest";
import { HeadScanner } from "./head-scanner.ts";

it("gives the memory of a refused head back, and begins anew", () => {
  const scanner = new HeadScanner(60_000);
  const chunk = (text: string): Buffer => {
    const bytes = Buffer.allocUnsafeSlow(40_000).fill("a");
    bytes.write(text);
    return bytes;
  };
  const chunks = [chunk("GET / HTTP/1.1\r\nx-long: "), chunk("")];
  expect(chunks.map((bytes) => scanner.feed(bytes))).toEqual([{ kind: "more" }, { kind: "bad", isTooLarge: true }]);
  scanner.discard();
  expect(chunks.map(({ length }) => length)).toEqual([0, 0]);
  expect(scanner.hasBegun).toBe(false);
});
