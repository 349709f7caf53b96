import { describe, expect, it } from "vitest";
import { appendChains, type ChainMatch, type ChainPlan, isMatchAll, matchPlaintextHttp } from "./chain-plan.ts";

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

describe("appendChains", () => {
  it.each<[string, ChainMatch, ChainMatch, readonly ChainMatch[]]>([
    ["names in another order", { serverNames: ["a", "b"] }, { serverNames: ["b", "a"] }, []],
    ["a name that takes all", { serverNames: ["*"] }, {}, []],
    ["blocks written differently", { prefixes: ["10.1.2.3/8"] }, { prefixes: ["10.0.0.0/8"] }, []],
    ["IPv6 blocks written differently", { prefixes: ["fd00::1/16"] }, { prefixes: ["fd00:0:0::/16"] }, []],
    ["an address and its block", { prefixes: ["10.1.2.3"] }, { prefixes: ["10.1.2.3/32"] }, []],
    ["the block of everything", { prefixes: ["0.0.0.0/0"] }, {}, []],
    [
      "blocks of other length",
      { prefixes: ["10.0.0.0/8"] },
      { prefixes: ["10.0.0.0/9"] },
      [{ prefixes: ["10.0.0.0/9"] }],
    ],
    [
      "other transports",
      { transportProtocol: "tls" },
      { transportProtocol: "raw_buffer" },
      [{ transportProtocol: "raw_buffer" }],
    ],
    ["other names", { serverNames: ["a"] }, { serverNames: ["b"] }, [{ serverNames: ["b"] }]],
    ["names in part", { serverNames: ["a", "b"] }, { serverNames: ["b", "c"] }, [{ serverNames: ["c"] }]],
    [
      "blocks in part",
      { prefixes: ["10.0.0.1"] },
      { prefixes: ["10.0.0.1", "10.0.0.2"] },
      [{ prefixes: ["10.0.0.2"] }],
    ],
    [
      "a name and a block twice",
      {},
      { serverNames: ["a", "a"], prefixes: ["10.0.0.1", "10.0.0.1/32"] },
      [{ serverNames: ["a"], prefixes: ["10.0.0.1"] }],
    ],
    [
      "names for one of two blocks",
      { serverNames: ["a"], prefixes: ["10.0.0.1"] },
      { serverNames: ["a", "b"], prefixes: ["10.0.0.1", "10.0.0.2"] },
      [
        { serverNames: ["b"], prefixes: ["10.0.0.1"] },
        { serverNames: ["a", "b"], prefixes: ["10.0.0.2"] },
      ],
    ],
  ])("leaves out what an earlier chain matches: %s", (_, first, second, rest) => {
    const existing = [plan(first)];
    expect(appendChains(existing, [plan(second)])).toEqual([...existing, ...rest.map(plan)]);
  });

  it.each<[readonly string[], readonly ChainMatch[]]>([
    [["*-b.example"], []],
    [["*-b.example", "*.b.example"], [{ serverNames: ["*.b.example"] }]],
    [["*"], [{ serverNames: ["*"] }]],
  ])("leaves out server names that Envoy cannot match: %j", (serverNames, expected) => {
    expect(appendChains([], [plan({ serverNames })])).toEqual(expected.map(plan));
  });

  it("keeps a chain that nothing stands against as it is", () => {
    const chain = plan({ serverNames: ["b"] });
    expect(appendChains([plan({ serverNames: ["a"] })], [chain])[1]).toBe(chain);
  });
});

it("limits a chain to HTTP in plain text and keeps its other conditions", () => {
  expect(matchPlaintextHttp(plan({ prefixes: ["10.0.0.0/8"] }), { http10: false }).match).toEqual({
    prefixes: ["10.0.0.0/8"],
    transportProtocol: "raw_buffer",
    applicationProtocols: ["http/1.1", "h2c"],
  });
});
