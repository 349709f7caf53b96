import { describe, expect, it } from "vitest";
import type { Exchange } from "./exchange.ts";
import type { Expectation, ForwardedAnswer } from "./expectation.ts";
import { judge } from "./judge.ts";
import { describeGrowth } from "./memory-growth.ts";
import type { Attempt } from "./records.ts";
import type { ModelRequest } from "./request.ts";

const request: ModelRequest = {
  ...{ id: 5, slot: "plain-0", sni: undefined, protocol: "http1", isAlone: false, method: "GET", ask: "answer" },
  ...{ host: "one.test", path: "/a", headers: {}, bodySize: 0 },
};
const expected: ForwardedAnswer = {
  ...{ kind: "forwarded", serverName: "server-1", status: 200, leastMs: 0, path: "/a", host: "one.test" },
  ...{ headers: {}, requestHeaders: {}, tried: new Set(["http1-1"]), hosts: new Set(["http1-0"]) },
  attempts: { least: 1, most: 2 },
  shadows: { least: 1, most: 1 },
  isUnordered: false,
  choice: { sticky: undefined, share: undefined },
};
const seen = { upstream: "http1-0", method: "GET", path: "/a", host: "one.test", headers: {} };
const line = { slot: "plain-0", sni: undefined, first: 0, taken: undefined, mayEnd: false, isBusy: false };
const answered: Exchange = {
  ...{ outcome: "answered", status: 200, body: Buffer.alloc(0), error: "", elapsedMs: 10, first: 0, last: 0, line },
  headers: { server: "server-1", "x-seen": JSON.stringify(seen) },
};
const main: Attempt = { upstream: "http1-0", isShadow: false };
const failed: Attempt = { upstream: "http1-1", isShadow: false };
const shadow: Attempt = { upstream: "http1-2", isShadow: true };

const faultsOf = (
  change: Partial<Exchange>,
  attempts: readonly Attempt[] = [main, shadow],
  expectation: Expectation = expected,
): string =>
  judge([expectation], { request, exchange: { ...answered, ...change }, attempts, isOver: true }).faults.join();

describe("judge", () => {
  it.each<[string, readonly Attempt[]]>([
    ["one try", [main, shadow]],
    ["a try that failed before", [failed, shadow, main]],
  ])("is content with %s", (_what, attempts) => {
    expect(faultsOf({}, attempts)).toBe("");
  });

  it.each<[string, readonly Attempt[], string]>([
    ["nobody was asked", [shadow], "0 attempts, not 1 to 2"],
    ["too many were asked", [failed, failed, main, shadow], "3 attempts, not 1 to 2"],
    ["an answer was thrown away", [main, main, shadow], "was tried at http1-0 before"],
    ["a copy was lost", [main], "0 copies, not 1 to 1"],
    ["a copy came twice", [main, shadow, shadow], "2 copies, not 1 to 1"],
  ])("tells that %s", (_what, attempts, fault) => {
    expect(faultsOf({}, attempts)).toContain(fault);
  });

  it.each<[string, Partial<Exchange>, string]>([
    ["a lost answer", { outcome: "broken", error: "ECONNRESET" }, "broken: ECONNRESET"],
    ["another status", { status: 503 }, "status: 503, not 200"],
    ["another generation", { headers: { ...answered.headers, server: "server-0" } }, 'server: "server-0"'],
    ["a header too many", { headers: { ...answered.headers, "x-r-3": "on" } }, 'x-r-3: "on", not undefined'],
    ["bytes too many", { body: Buffer.from("more") }, "body of 4 bytes, not 0"],
    [
      "a host that is none",
      { headers: { ...answered.headers, "x-seen": JSON.stringify({ ...seen, upstream: "http1-1" }) } },
      "from http1-1, not http1-0",
    ],
  ])("tells %s", (_what, change, fault) => {
    expect(faultsOf(change)).toContain(fault);
  });

  it("takes a cut only where the time was over", () => {
    const cut: Expectation = { kind: "cut", leastMs: 100 };
    expect(faultsOf({ outcome: "broken", elapsedMs: 120 }, [main], cut)).toBe("");
    expect(faultsOf({ outcome: "broken", elapsedMs: 80 }, [main], cut)).not.toBe("");
    expect(faultsOf({}, [main], cut)).not.toBe("");
  });
});

describe("describeGrowth", () => {
  const memory = { heap: 40 << 20, resident: 120 << 20, resources: {} };

  it.each([
    ["the same", memory, true],
    ["a little more", { ...memory, heap: 44 << 20, resident: 140 << 20 }, true],
    ["a heap that grew", { ...memory, heap: 60 << 20 }, false],
    ["a process that grew", { ...memory, resident: 300 << 20 }, false],
  ])("%s", (_what, late, isFlat) => {
    expect(describeGrowth({ early: memory, late }).isFlat).toBe(isFlat);
  });
});
