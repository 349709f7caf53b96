import { describe, expect, it } from "vitest";
import {
  compareHostNames,
  formatServerHost,
  indexServerHosts,
  intersectHosts,
  listServerNames,
  parseServerHosts,
} from "./server-hosts.ts";

const parse = (...hosts: string[]) => parseServerHosts(hosts, "istio-system");

describe("hosts of a server", () => {
  it.each([
    ["a.com", "a.com"],
    ["*.a.com", "*.a.com"],
    ["./a.com", "istio-system/a.com"],
    ["*/a.com", "a.com"],
    ["bookinfo/*", "bookinfo/*"],
  ])("reads %s as %s", (text, expected) => {
    expect(parse(text).map(formatServerHost)).toEqual([expected]);
  });

  it("reads */* as everything, whatever stands beside it", () => {
    expect(parse("bookinfo/a.com", "*/*", "b.com").map(formatServerHost)).toEqual(["*"]);
  });

  it("names each host once to TLS, sorted, without namespaces", () => {
    expect(listServerNames(parse("ns/b.com", "b.com", "a.com"))).toEqual(["a.com", "b.com"]);
  });
});

describe("what a server and a virtual service have in common", () => {
  it.each([
    ["the same host", ["a.com"], ["a.com"], ["a.com"]],
    ["other hosts", ["a.com"], ["b.com"], []],
    ["an exact host behind a wildcard", ["*.com"], ["a.com", "a.org"], ["a.com"]],
    ["exact hosts of the server within a wildcard", ["a.com", "b.com", "c.org"], ["*.com"], ["a.com", "b.com"]],
    ["the narrower of two wildcards", ["*.com"], ["*.a.com"], ["*.a.com"]],
    ["the narrower wildcard of the server", ["*.a.com"], ["*.com"], ["*.a.com"]],
    ["a host that several hosts of the server hold, once", ["*", "a.com", "*.com"], ["a.com"], ["a.com"]],
    ["a host of the own namespace", ["bookinfo/a.com"], ["a.com"], ["a.com"]],
    ["no host of another namespace", ["other/a.com", "other/*.org"], ["a.com", "b.org"], []],
    ["no exact host of another namespace within a wildcard", ["other/a.com"], ["*.com"], []],
    ["a host that is open beside one that is not", ["other/a.com", "a.com"], ["a.com"], ["a.com"]],
  ])("is %s", (_what, server, hosts, expected) => {
    const index = indexServerHosts(parse(...server));
    expect([...intersectHosts(index, { hosts, namespace: "bookinfo" })].sort()).toEqual(expected);
  });
});

it("orders host names exact first, then longest first, then by text", () => {
  const names = ["*", "b.com", "*.com", "aa.com", "a.com", "*.a.com"];
  expect(names.toSorted(compareHostNames)).toEqual(["aa.com", "a.com", "b.com", "*.a.com", "*.com", "*"]);
});
