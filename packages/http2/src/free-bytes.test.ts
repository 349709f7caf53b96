import { expect, it } from "vitest";
import { whenWritten } from "./free-bytes.ts";

it("gives the memory of large bytes back when they are written", () => {
  const bytes = Buffer.allocUnsafeSlow(65_536);
  const onWritten = whenWritten(bytes);
  expect(bytes.length).toBe(65_536);
  onWritten?.();
  expect([bytes.length, bytes.buffer.byteLength]).toEqual([0, 0]);
});

it.each([
  ["small", Buffer.allocUnsafeSlow(1_024)],
  ["a part of something larger", Buffer.allocUnsafeSlow(131_072).subarray(0, 65_536)],
  ["shared between threads", Buffer.from(new SharedArrayBuffer(65_536))],
])("leaves bytes alone that are %s", (_why, bytes) => {
  expect(whenWritten(bytes)).toBeUndefined();
});
