import { duration } from "@meltemi/protos";
import { expect, test } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { HeaderList } from "../http/header-list.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { ClusterCounters } from "./cluster-counters.ts";
import { Deadlines } from "./deadlines.ts";
import { compileForwardRules } from "./forward-rules.ts";
import { compileRetryPolicy } from "./retry-policy.ts";
import { RetryState } from "./retry-state.ts";
import { compileRouteMatch } from "./route-match.ts";
import { createTestExchange, testRouteEnv, testRuntime } from "./testing/test-exchange.ts";
import { applyTimeouts, formatGrpcTimeout, parseGrpcTimeout } from "./timeouts.ts";

test("deadlines of one length share a timer and come in order", () => {
  const clock = new TestClock();
  const deadlines = new Deadlines(clock);
  const ran: string[] = [];
  deadlines.add(100, () => ran.push("a"));
  clock.advance(30);
  const second = deadlines.add(100, () => ran.push("b"));
  deadlines.add(100, () => ran.push("c"));
  deadlines.add(10, () => ran.push("short"));
  expect(clock.running).toBe(2);
  clock.advance(10);
  second.cancel();
  second.cancel();
  clock.advance(60);
  expect(ran).toEqual(["short", "a"]);
  clock.advance(30);
  expect(ran).toEqual(["short", "a", "c"]);
  expect(clock.running).toBe(0);
});

test("a deadline may count from a while ago, and comes before those that count from later", () => {
  const clock = new TestClock();
  const deadlines = new Deadlines(clock);
  const ran: string[] = [];
  clock.advance(80);
  deadlines.add(100, () => ran.push(`late ${clock.now()}`));
  deadlines.add(100, () => ran.push(`early ${clock.now()}`), 10);
  deadlines.add(100, () => ran.push(`between ${clock.now()}`), 40);
  clock.advance(200);
  expect(ran).toEqual(["early 110", "between 140", "late 180"]);
  expect(clock.running).toBe(0);
});

test("a deadline that begins anew as it comes does not hold up the next", () => {
  const clock = new TestClock();
  const deadlines = new Deadlines(clock);
  const ran: string[] = [];
  deadlines.add(100, () => {
    ran.push(`first ${clock.now()}`);
    deadlines.add(100, () => ran.push(`anew ${clock.now()}`));
  });
  clock.advance(50);
  deadlines.add(100, () => ran.push(`second ${clock.now()}`));
  clock.advance(200);
  expect(ran).toEqual(["first 100", "second 150", "anew 200"]);
});

test("closed deadlines do not come", () => {
  const clock = new TestClock();
  const deadlines = new Deadlines(clock);
  deadlines.add(10, () => expect.unreachable());
  deadlines.close();
  expect(clock.running).toBe(0);
  clock.advance(20);
});

test.each([
  ["1S", 1000],
  ["2M", 120_000],
  ["1H", 3_600_000],
  ["5m", 5],
  ["1500u", 2],
  ["1n", 1],
  ["123456789S", undefined],
  ["1x", undefined],
  [undefined, undefined],
])("grpc-timeout %s is %s ms", (value, expected) => {
  expect(parseGrpcTimeout(value)).toBe(expected);
});

test.each([
  [0, "0m"],
  [250, "250m"],
  [99_999_999, "99999999m"],
  [100_000_000, "100000S"],
  [1e12, "16666666M"],
])("%d ms are a grpc-timeout of %s", (ms, expected) => {
  expect(formatGrpcTimeout(ms)).toBe(expected);
});

const plain = {
  ...{ perTryMs: 0, perTryIdleMs: 0, isGrpc: false, hasNoEnvoyHeaders: false },
  ...{ respectsExpected: false, suppressesHeaders: false },
};

test.each([
  [{}, [], {}, { totalMs: 15_000 }, "15000"],
  [{ timeout: duration(0) }, [], {}, { totalMs: 0 }, undefined],
  [{ timeout: duration(0), max_stream_duration: {} }, [], {}, { totalMs: 0 }, undefined],
  [{ timeout: duration(500), max_stream_duration: {} }, [], {}, { totalMs: 0 }, undefined],
  [{ timeout: duration(500) }, ["x-envoy-upstream-rq-timeout-ms", "200"], {}, { totalMs: 200 }, "200"],
  [{ timeout: duration(500) }, [], { perTryMs: 100 }, { totalMs: 500, perTryMs: 100 }, "100"],
  [{ timeout: duration(500) }, [], { perTryMs: 500 }, { totalMs: 500, perTryMs: 0 }, "500"],
  [{}, ["x-envoy-upstream-rq-per-try-timeout-ms", "7"], {}, { perTryMs: 7 }, "7"],
  [{}, ["x-envoy-expected-rq-timeout-ms", "70"], { respectsExpected: true }, { totalMs: 70 }, "70"],
  [{}, [], { suppressesHeaders: true }, { totalMs: 15_000 }, undefined],
  [{ max_grpc_timeout: duration(0) }, ["grpc-timeout", "2S"], { isGrpc: true }, { totalMs: 2000 }, "2000"],
  [{ max_grpc_timeout: duration(1000) }, ["grpc-timeout", "2S"], { isGrpc: true }, { totalMs: 1000 }, "1000"],
  [
    { max_grpc_timeout: duration(0), grpc_timeout_offset: duration(500) },
    ["grpc-timeout", "2S"],
    { isGrpc: true },
    { totalMs: 1500 },
    "1500",
  ],
])("the route %j with %j and %j takes %j", (action, headers, options, expected, told) => {
  const { request } = createTestExchange({ headers });
  const match = compileRouteMatch({ prefix: "/" }, testRouteEnv(), { ignoresPathParameters: false });
  const rules = compileForwardRules(action, { route: {}, host: {}, tableMirrors: [], match }, testRouteEnv());
  expect(applyTimeouts(request, rules, { ...plain, ...options })).toMatchObject(expected);
  expect(request.headers.get("x-envoy-expected-rq-timeout-ms")).toBe(told);
  expect(request.headers.has("x-envoy-upstream-rq-timeout-ms")).toBe(false);
});

function createRetries(policy: Parameters<typeof compileRetryPolicy>[0], random: number): RetryState {
  return new RetryState(compileRetryPolicy({ retry_on: "5xx", num_retries: { value: 9 }, ...policy }), {
    clock: new TestClock(),
    random: () => random,
    runtime: testRuntime,
    counters: new ClusterCounters(createStatsRegistry()),
    breaker: { take: () => true, release: () => undefined },
  });
}

test("attempts wait ever longer, up to a limit", () => {
  const wait = (state: RetryState): number => {
    state.afterResponse(500, new HeaderList());
    return state.takeDelay(undefined);
  };
  const usual = createRetries({}, 0.999);
  expect([1, 2, 3, 4, 5, 6].map(() => wait(usual))).toEqual([24, 49, 99, 199, 249, 249]);
  const short = createRetries({ retry_back_off: { base_interval: duration(10), max_interval: duration(15) } }, 0.5);
  expect([1, 2].map(() => wait(short))).toEqual([5, 7]);
});

test("a server may say how long to wait", () => {
  const rate_limited_retry_back_off = { reset_headers: [{ name: "Retry-After" }], max_interval: duration(5000) };
  const state = createRetries({ rate_limited_retry_back_off }, 0);
  const delayFor = (value: string): number => {
    const headers = new HeaderList(["retry-after", value]);
    state.afterResponse(503, headers);
    return state.takeDelay(headers);
  };
  expect(delayFor("2")).toBe(2000);
  expect(delayFor("6")).toBe(0);
  expect(delayFor("soon")).toBe(0);
});

test.each([
  ["reset", "remote-reset", true, "retry"],
  ["reset-before-request", "connection-termination", true, "no"],
  ["reset-before-request", "connection-termination", false, "retry"],
  ["connect-failure", "connection-timeout", false, "retry"],
  ["connect-failure", "remote-reset", true, "no"],
  ["refused-stream", "refused-stream", true, "retry"],
  ["5xx", "overflow", false, "no"],
  ["gateway-error", "remote-reset", true, "retry"],
  ["unavailable", "remote-reset", true, "no"],
] as const)("after %s a failure %s (sent: %s) means %s", (retry_on, failure, isSent, expected) => {
  expect(createRetries({ retry_on }, 0).afterFailure(failure, isSent)).toBe(expected);
});

test.each([
  ["5xx", 500, [], "retry"],
  ["gateway-error", 500, [], "no"],
  ["gateway-error", 504, [], "retry"],
  ["retriable-4xx", 409, [], "retry"],
  ["retriable-4xx", 404, [], "no"],
  ["5xx", 503, ["x-envoy-ratelimited", "true"], "no"],
  ["envoy-ratelimited", 429, ["x-envoy-ratelimited", "true"], "retry"],
  ["cancelled, internal", 200, ["grpc-status", "13"], "retry"],
  ["cancelled", 200, ["grpc-status", "14"], "no"],
] as const)("after %s an answer %s %j means %s", (retry_on, status, headers, expected) => {
  expect(createRetries({ retry_on }, 0).afterResponse(status, new HeaderList([...headers]))).toBe(expected);
});
