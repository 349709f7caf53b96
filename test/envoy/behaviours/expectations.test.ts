/** The judge of behaviours: what is not as expected must be found. */
import { describe, expect, it } from "vitest";
import type { EchoedRequest } from "../../support/echo-upstreams.ts";
import type { Observation } from "./ask.ts";
import type { Expectation } from "./behaviour.ts";
import { checkExpectation } from "./expectations.ts";

const echoed = (upstream: string, rest: Partial<EchoedRequest> = {}): EchoedRequest => ({
  ...{ upstream, method: "GET", path: "/a", host: "echo.test", http: "1.1", headers: { "x-a": "1" }, body: "" },
  ...{ connection: 1, ...rest },
});

const observed = (upstream: string | undefined, rest: Partial<Observation> = {}): Observation => ({
  ...{ status: 200, headers: { server: "envoy" }, trailers: {}, body: "", tookMs: 100 },
  seen: upstream === undefined ? undefined : echoed(upstream),
  ...rest,
});

const check = (expected: Expectation, ...observations: readonly Observation[]): readonly string[] =>
  checkExpectation(expected, { observations, received: [] });

describe("an expectation", () => {
  it.each<[Expectation, Observation]>([
    [{ status: 200 }, observed("v1")],
    [{ upstream: "v1", seen: { path: "/a", headers: { "x-a": "1", "x-b": null } } }, observed("v1")],
    [{ headers: { server: { matches: "^env" }, other: null } }, observed("v1")],
    [{ upstream: null, status: 503 }, observed(undefined, { status: 503 })],
    [{ upstream: "red" }, observed(undefined, { status: 0, body: "red" })],
    [{ error: { matches: "RESET" } }, observed(undefined, { status: 0, error: "ECONNRESET" })],
    [{ atLeastMs: 100 }, observed("v1")],
  ])("%j holds", (expected, observation) => {
    expect(check(expected, observation)).toEqual([]);
  });

  it.each<[Expectation, Observation, string]>([
    [{ status: 200 }, observed("v1", { status: 503 }), "status 503"],
    [{ upstream: "v1" }, observed("v2"), "answered by v2"],
    [{ upstream: null }, observed("v2"), "answered by v2"],
    [{ upstream: "v1" }, observed(undefined), "answered by nobody"],
    [{ seen: { path: "/b" } }, observed("v1"), 'path at the upstream is "/a"'],
    [{ seen: { headers: { "x-b": true } } }, observed("v1"), "at the upstream, header x-b is missing"],
    [{ seen: { method: "GET" } }, observed(undefined), "no upstream answered"],
    [{ headers: { server: null } }, observed("v1"), 'header server is "envoy"'],
    [{ error: true }, observed("v1"), "error is missing"],
    [{ status: 200 }, observed(undefined, { status: 0, error: "ECONNRESET" }), "failed: ECONNRESET"],
    [{ atLeastMs: 200 }, observed("v1"), "took 100 ms only"],
    [{ grpc: { status: 0 } }, observed("v1"), "gRPC status undefined"],
  ])("%j is not met by %j", (expected, observation, complaint) => {
    expect(check(expected, observation)).toContain(complaint);
  });
});

describe("many requests", () => {
  const mixed = (first: number, second: number): readonly Observation[] => [
    ...Array.from({ length: first }, () => observed("v1")),
    ...Array.from({ length: second }, () => observed("v2")),
  ];

  it("are counted by upstream", () => {
    expect(check({ upstream: ["v1", "v2"] }, ...mixed(3, 1))).toEqual([]);
    expect(check({ upstream: ["v1", "v2", "v3"] }, ...mixed(3, 1))).toEqual(["answered by v1, v2"]);
    expect(check({ upstream: "same" }, ...mixed(4, 0))).toEqual([]);
    expect(check({ upstream: "same" }, ...mixed(3, 1))).toEqual(["answered by v1, v2"]);
    expect(check({ statuses: [200, 503] }, ...mixed(1, 1))).toEqual(["statuses 200"]);
  });

  it("are shared within a tolerance, but nothing is not a little", () => {
    expect(check({ shares: { v1: 75, v2: 25 } }, ...mixed(80, 20))).toEqual([]);
    expect(check({ shares: { v1: 75, v2: 25 }, tolerance: 3 }, ...mixed(80, 20))).toEqual(["shares v1: 80, v2: 20"]);
    expect(check({ shares: { v1: 100 } }, ...mixed(99, 1))).toEqual(["shares v1: 99, v2: 1"]);
  });

  it("are compared with what upstreams received", () => {
    const outcome = { observations: mixed(1, 0), received: [echoed("v1"), echoed("v1"), echoed("v3", { path: "/b" })] };
    expect(checkExpectation({ received: { v1: 2, v3: 1 } }, outcome)).toEqual([]);
    expect(checkExpectation({ received: { v1: 1, v3: 1 } }, outcome)).toEqual(["upstreams received v1: 2, v3: 1"]);
    expect(checkExpectation({ copies: { v3: { path: "/b" } } }, outcome)).toEqual([]);
    expect(checkExpectation({ copies: { v2: {} } }, outcome)).toEqual(["v2 received no copy"]);
  });
});
