import { describe, expect, it } from "vitest";
import type { Protocol } from "../../lib/protocol.ts";
import { classifyProtocol, type Resolution, resolveConflict } from "./listener-conflicts.ts";

describe("resolveConflict", () => {
  it.each<[Protocol, Protocol | undefined, Resolution]>([
    ["HTTP", undefined, "create"],
    ["HTTP", "GRPC", "share"],
    ["HTTP2", "Unsupported", "share"],
    ["HTTP", "TCP", "mergeAndSniff"],
    ["HTTP", "Mongo", "refuse"],
    ["TCP", "HTTP", "mergeAndSniff"],
    ["TCP", "Unsupported", "merge"],
    ["TLS", "TCP", "merge"],
    ["Mongo", "Mongo", "merge"],
    ["MySQL", "TCP", "refuse"],
    ["Mongo", "Unsupported", "refuse"],
    ["Unsupported", "HTTP", "replace"],
    ["Unsupported", "TCP", "mergeAndSniff"],
    ["Unsupported", "Unsupported", "share"],
    ["HTTP_PROXY", "TCP", "replace"],
    ["UDP", "TCP", "refuse"],
  ])("%s on a listener of %s: %s", (incoming, existing, resolution) => {
    expect(resolveConflict(incoming, existing)).toBe(resolution);
  });
});

it.each<[Protocol, string | undefined]>([
  ["GRPC-Web", "http"],
  ["HTTPS", "tcp"],
  ["Redis", "tcp"],
  ["Unsupported", "auto"],
  ["UDP", undefined],
])("classifies %s as %s", (protocol, kind) => {
  expect(classifyProtocol(protocol)).toBe(kind);
});
