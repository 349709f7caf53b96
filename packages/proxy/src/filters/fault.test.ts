import { describe, expect, it } from "vitest";
import { ExchangeResetError } from "../http/exchange.ts";
import type { Clock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { faultFactory } from "./fault.ts";
import { createTestChain, createTestEnv, createTestExchange } from "./test-exchange.ts";

const always = { numerator: 100 } as const;

/** A clock whose timers run at once, in order, and that says how long they would have taken. */
function createHastyClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = [];
  let time = 0;
  return {
    waits,
    now: () => time,
    monotonic: () => time,
    after(delayMs, run) {
      let isClosed = false;
      waits.push(delayMs);
      queueMicrotask(() => {
        time += delayMs;
        if (!isClosed) run();
      });
      return { close: () => (isClosed = true) };
    },
    every: () => ({ close: () => undefined }),
  };
}

describe("faultFactory", () => {
  it.each([
    ["a status", { abort: { http_status: 418, percentage: always } }, {}, { status: 418 }],
    ["a gRPC status", { abort: { grpc_status: 8, percentage: always } }, {}, { status: 200, grpcStatus: 8 }],
    [
      "what a header asks for",
      { abort: { header_abort: {}, percentage: always } },
      { "x-envoy-fault-abort-request": "501" },
      { status: 501 },
    ],
    [
      "a gRPC status that a header asks for",
      { abort: { header_abort: {}, percentage: always } },
      { "x-envoy-fault-abort-grpc-request": "7" },
      { status: 200, grpcStatus: 7 },
    ],
  ])("aborts with %s", async (_what, filter, headers, reply) => {
    const chain = createTestChain(faultFactory, { filter });
    const outcome = await chain.ask({ headers });
    expect(outcome.reply).toEqual({
      ...reply,
      body: "fault filter abort",
      details: "fault_filter_abort",
      flags: ["FI"],
    });
    expect(outcome.forwarded).toBeUndefined();
    expect(chain.stat("http.test.fault.aborts_injected")).toBe(1);
    expect(chain.stat("http.test.fault.active_faults")).toBe(0);
  });

  it.each([
    ["no part is chosen", { abort: { http_status: 418, percentage: { numerator: 10 } } }, {}],
    ["no part is given", { abort: { http_status: 418 } }, {}],
    [
      "a header lowers the part",
      { abort: { header_abort: {}, percentage: always } },
      { "x-envoy-fault-abort-request": "501", "x-envoy-fault-abort-request-percentage": "10" },
    ],
    [
      "the header is no status",
      { abort: { header_abort: {}, percentage: always } },
      { "x-envoy-fault-abort-request": "99" },
    ],
    [
      "headers do not match",
      { abort: { http_status: 418, percentage: always }, headers: [{ name: "x-user", string_match: { exact: "a" } }] },
      { "x-user": "b" },
    ],
    ["the cluster is another", { abort: { http_status: 418, percentage: always }, upstream_cluster: "other" }, {}],
    [
      "the node is another",
      { abort: { http_status: 418, percentage: always }, downstream_nodes: ["n1"] },
      { "x-envoy-downstream-service-node": "n2" },
    ],
    ["too many are active", { abort: { http_status: 418, percentage: always }, max_active_faults: { value: 0 } }, {}],
    ["nothing is configured", {}, {}],
  ])("does nothing where %s", async (_what, filter, headers) => {
    const outcome = await createTestChain(faultFactory, { filter }).ask({ headers });
    expect([outcome.status, outcome.reply]).toEqual([200, undefined]);
  });
});

describe("the settings of faultFactory", () => {
  it("delays, then aborts, and says so for the service that asks", async () => {
    const clock = createHastyClock();
    const filter = {
      delay: { fixed_delay: { seconds: 2 }, percentage: always },
      abort: { http_status: 500, percentage: always },
      upstream_cluster: "upstream",
    };
    const chain = createTestChain(faultFactory, { filter, clock });
    const outcome = await chain.ask({ headers: { "x-envoy-downstream-service-cluster": "web" } });
    expect(clock.waits).toEqual([2000]);
    expect(outcome.status).toBe(500);
    expect([...outcome.info.responseFlags]).toEqual(["DI"]);
    expect(chain.stat("http.test.fault.delays_injected")).toBe(1);
    expect(chain.stat("http.test.fault.web.aborts_injected")).toBe(1);
  });

  it("takes the route's settings before its own, and runtime's before both", async () => {
    const filter = { abort: { http_status: 500, percentage: always } };
    const perRoute = [{ abort: { http_status: 400, percentage: always } }];
    expect((await createTestChain(faultFactory, { filter, perRoute }).ask()).status).toBe(400);
    const runtime = { "fault.http.abort.http_status": 429 };
    expect((await createTestChain(faultFactory, { filter, runtime }).ask()).status).toBe(429);
    const never = { "fault.http.abort.abort_percent": 0 };
    expect((await createTestChain(faultFactory, { filter, runtime: never }).ask()).status).toBe(200);
  });

  it("lets an answer flow at its rate", async () => {
    const clock = createHastyClock();
    const filter = { response_rate_limit: { fixed_limit: { limit_kbps: 16 }, percentage: always } };
    const outcome = await createTestChain(faultFactory, { filter, clock }).ask({}, { body: "x".repeat(4000) });
    expect(outcome.body.length).toBe(4000);
    expect(clock.waits).toEqual([62.5, 62.5, 62.5]);
  });

  it("ends the wait of a client that goes away", async () => {
    const stats = createStatsRegistry();
    const env = createTestEnv(stats);
    const filter = faultFactory.compile({ delay: { fixed_delay: { seconds: 3600 }, percentage: always } }, env);
    const { exchange, abort, end } = createTestExchange({}, { env, perRoute: [], route: undefined, id: 1 });
    const answer = filter.handle(exchange, () => Promise.reject(new Error("not to be asked")));
    abort();
    await expect(answer).rejects.toBeInstanceOf(ExchangeResetError);
    end();
    expect(stats.gauges().get("http.test.fault.active_faults")).toBe(0);
  });

  it.each([
    [{ abort: { http_status: 99 } }, "abort.http_status"],
    [{ delay: {} }, "delay"],
    [{ response_rate_limit: {} }, "response_rate_limit.fixed_limit.limit_kbps"],
  ])("refuses %j", (filter, path) => {
    expect(() => createTestChain(faultFactory, { filter })).toThrow(path);
  });
});
