import { expect, it } from "vitest";
import { parseGrpcStatus } from "./grpc-status.ts";

it.each([
  ["OK", 0],
  ["UNAVAILABLE", 14],
  ["UNAUTHENTICATED", 16],
  ["0", 0],
  ["16", 16],
  ["17", undefined],
  ["-1", undefined],
  ["unavailable", undefined],
  ["", undefined],
])("reads %j as %s", (text, status) => {
  expect(parseGrpcStatus(text)).toBe(status);
});
