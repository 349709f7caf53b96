import { describe, expect, it } from "vitest";
import { localRateLimitFactory } from "./local-rate-limit.ts";
import { createTestChain } from "./test-exchange.ts";

const all = { default_value: { numerator: 100 } };
const bucket = (tokens: number) => ({
  max_tokens: tokens,
  tokens_per_fill: { value: tokens },
  fill_interval: { seconds: 3600 },
});
const base = { stat_prefix: "lr", filter_enabled: all, filter_enforced: all };

function createClock() {
  let time = 0;
  return {
    now: () => time,
    monotonic: () => time,
    after: () => ({ close: () => undefined }),
    every: () => ({ close: () => undefined }),
    pass: (ms: number) => {
      time += ms;
    },
  };
}

const plan = { timeoutMs: 0, upgrades: new Map(), idleTimeoutMs: undefined };
const routeWith = (...actions: object[]) => ({
  action: { kind: "forward", cluster: "upstream", plan, wire: { rate_limits: [{ actions }] } } as const,
});
const byUser = routeWith({ request_headers: { header_name: "x-u", descriptor_key: "u" } });

describe("localRateLimitFactory", () => {
  it("gives out the tokens of a bucket and says so, as a real Envoy 1.40 does", async () => {
    const clock = createClock();
    const filter = {
      ...base,
      token_bucket: { max_tokens: 2, fill_interval: { seconds: 3600 } },
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      response_headers_to_add: [{ header: { key: "x-lim", value: "yes" } }],
    };
    const chain = createTestChain(localRateLimitFactory, { filter, clock });
    const outcomes = [await chain.ask(), await chain.ask(), await chain.ask()];
    expect(outcomes.map(({ status, headers }) => ({ status, ...headers }))).toEqual([
      { status: 200, "x-ratelimit-limit": "2", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "0" },
      { status: 200, "x-ratelimit-limit": "2", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "3600" },
      {
        status: 429,
        "x-lim": "yes",
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "3600",
      },
    ]);
    expect(outcomes[2]?.reply).toMatchObject({
      body: "local_rate_limited",
      details: "local_rate_limited",
      flags: ["RL"],
    });
    clock.pass(3_600_000);
    expect((await chain.ask()).status).toBe(200);
    const names = ["enabled", "ok", "rate_limited", "enforced"];
    expect(names.map((name) => chain.stat(`lr.http_local_rate_limit.${name}`))).toEqual([4, 3, 1, 1]);
  });

  it("counts by descriptor, with the default for all", async () => {
    const filter = {
      ...base,
      token_bucket: bucket(100),
      enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      descriptors: [
        { entries: [{ key: "u", value: "a" }], token_bucket: bucket(1) },
        { entries: [{ key: "u", value: "b" }], token_bucket: bucket(3) },
      ],
    };
    const chain = createTestChain(localRateLimitFactory, { filter, clock: createClock(), route: byUser });
    const seen: (string | number | undefined)[][] = [];
    for (const user of ["a", "a", "b", "c"]) {
      const { status, headers } = await chain.ask({ headers: { "x-u": user } });
      seen.push([user, status, headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]]);
    }
    expect(seen).toEqual([
      ["a", 200, "1", "0"],
      ["a", 429, "1", "0"],
      ["b", 200, "3", "2"],
      ["c", 200, "100", "97"],
    ]);
  });

  it("makes buckets for values as they come where a descriptor leaves them open", async () => {
    const descriptors = [{ entries: [{ key: "u" }], token_bucket: bucket(1) }];
    const filter = { ...base, token_bucket: bucket(100), descriptors };
    const chain = createTestChain(localRateLimitFactory, { filter, clock: createClock(), route: byUser });
    const statuses: number[] = [];
    for (const user of ["a", "b", "a"]) statuses.push((await chain.ask({ headers: { "x-u": user } })).status);
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe("the settings of localRateLimitFactory", () => {
  it("marks requests where it is not enforced, and does nothing where it is not enabled", async () => {
    const shadow = {
      ...base,
      token_bucket: bucket(1),
      filter_enforced: { default_value: { numerator: 0 } },
      request_headers_to_add_when_not_enforced: [{ header: { key: "x-shadow", value: "1" } }],
    };
    const chain = createTestChain(localRateLimitFactory, { filter: shadow, clock: createClock() });
    await chain.ask();
    expect((await chain.ask()).forwarded?.headers).toEqual({ "x-shadow": "1" });
    const idle = createTestChain(localRateLimitFactory, { filter: { stat_prefix: "lr", token_bucket: bucket(1) } });
    expect([(await idle.ask()).status, (await idle.ask()).status]).toEqual([200, 200]);
  });

  it("takes the route's settings, and has a bucket for each connection where it is told to", async () => {
    const route = {
      ...base,
      token_bucket: bucket(1),
      status: { code: "ServiceUnavailable" },
      rate_limited_as_resource_exhausted: true,
    };
    const chain = createTestChain(localRateLimitFactory, {
      filter: { stat_prefix: "x" },
      perRoute: [route],
      clock: createClock(),
    });
    await chain.ask();
    expect((await chain.ask()).reply).toMatchObject({ status: 503, grpcStatus: 8 });
    const filter = { ...base, token_bucket: bucket(1), local_rate_limit_per_downstream_connection: true };
    const own = createTestChain(localRateLimitFactory, { filter, clock: createClock() });
    expect([(await own.ask()).status, (await own.ask()).status]).toEqual([200, 200]);
  });

  it.each([
    [{ ...base, token_bucket: { max_tokens: 1, fill_interval: { nanos: 1 } } }, "token_bucket.fill_interval"],
    [{ ...base, token_bucket: { fill_interval: { seconds: 1 } } }, "token_bucket.max_tokens"],
    [{ ...base, local_cluster_rate_limit: {} }, "local_cluster_rate_limit"],
  ])("refuses %j", (filter, path) => {
    expect(() => createTestChain(localRateLimitFactory, { filter })).toThrow(path);
  });
});
