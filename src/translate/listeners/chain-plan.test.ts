import { describe, expect, it } from "vitest";
import { type ChainMatch, type ChainPlan, isMatchAll, matchIdentity, matchPlaintextHttp } from "./chain-plan.ts";

const plan = (match: ChainMatch): ChainPlan => ({
  match,
  content: { kind: "http", routeName: "80", protocol: "HTTP" },
  sources: [],
});

describe("isMatchAll", () => {
  it.each<[ChainMatch, boolean]>([
    [{}, true],
    [{ serverNames: ["*"] }, true],
    [{ serverNames: ["a.example"] }, false],
    [{ prefixes: ["10.0.0.0/8"] }, false],
    [{ transportProtocol: "raw_buffer" }, false],
    [{ applicationProtocols: ["h2c"] }, false],
  ])("%j: %s", (match, expected) => {
    expect(isMatchAll(plan(match))).toBe(expected);
  });
});

describe("matchIdentity", () => {
  it.each<[string, ChainMatch, ChainMatch, boolean]>([
    ["order of names", { serverNames: ["a", "b"] }, { serverNames: ["b", "a"] }, true],
    ["a name that takes all", { serverNames: ["*"] }, {}, true],
    ["blocks written differently", { prefixes: ["10.1.2.3/8"] }, { prefixes: ["10.0.0.0/8"] }, true],
    ["an address and its block", { prefixes: ["10.1.2.3"] }, { prefixes: ["10.1.2.3/32"] }, true],
    ["blocks of other length", { prefixes: ["10.0.0.0/8"] }, { prefixes: ["10.0.0.0/9"] }, false],
    ["high IPv4 addresses", { prefixes: ["192.0.2.0/24"] }, { prefixes: ["192.0.3.0/24"] }, false],
    ["the block of everything", { prefixes: ["0.0.0.0/0"] }, {}, true],
    ["other transports", { transportProtocol: "tls" }, { transportProtocol: "raw_buffer" }, false],
    ["other names", { serverNames: ["a"] }, { serverNames: ["b"] }, false],
  ])("compares %s", (_, a, b, equal) => {
    expect(matchIdentity(plan(a)) === matchIdentity(plan(b))).toBe(equal);
  });
});

it("limits a chain to HTTP in plain text and keeps its other conditions", () => {
  expect(matchPlaintextHttp(plan({ prefixes: ["10.0.0.0/8"] })).match).toEqual({
    prefixes: ["10.0.0.0/8"],
    transportProtocol: "raw_buffer",
    applicationProtocols: ["http/1.1", "h2c"],
  });
});
