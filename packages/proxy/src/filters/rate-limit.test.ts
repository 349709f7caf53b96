import { decode, encode } from "@meltemi/protos";
import type { RateLimitRequest, RateLimitResponse } from "@meltemi/protos/envoy/service/ratelimit/v3";
import { describe, expect, it } from "vitest";
import { rateLimitFactory } from "./rate-limit.ts";
import { createTestCluster, type TestServiceRequest } from "./test-cluster.ts";
import { createTestChain, type TestChainOptions } from "./test-exchange.ts";

const base = { domain: "d", rate_limit_service: { grpc_service: { envoy_grpc: { cluster_name: "rls" } } } };
const plan = { timeoutMs: 0, upgrades: new Map(), idleTimeoutMs: undefined };
const forward = (wire: object) => ({ kind: "forward", cluster: "rls", plan, wire }) as const;

function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function createChain(answer: RateLimitResponse | "error", filter: object, options: Partial<TestChainOptions>) {
  const asked: RateLimitRequest[] = [];
  const heads: TestServiceRequest[] = [];
  const clusters = createTestCluster("rls", (request) => {
    heads.push(request);
    asked.push(decode("envoy.service.ratelimit.v3.RateLimitRequest", request.body.subarray(5)));
    if (answer === "error") return { status: 200, headers: { "grpc-status": "14" } };
    const body = frame(encode("envoy.service.ratelimit.v3.RateLimitResponse", answer));
    return { status: 200, body, trailers: { "grpc-status": "0" } };
  });
  return {
    chain: createTestChain(rateLimitFactory, { filter: { ...base, ...filter }, clusters, ...options }),
    asked,
    heads,
  };
}

describe("the descriptors of rateLimitFactory", () => {
  const match = { name: "x-u", string_match: { exact: "a" } };
  it.each([
    [{ source_cluster: {} }, { key: "source_cluster", value: "service-1" }],
    [{ destination_cluster: {} }, { key: "destination_cluster", value: "rls" }],
    [{ request_headers: { header_name: ":path", descriptor_key: "p" } }, { key: "p", value: "/x?q=1" }],
    [{ remote_address: {} }, { key: "remote_address", value: "10.1.2.3" }],
    [{ generic_key: { descriptor_value: "v" } }, { key: "generic_key", value: "v" }],
    [{ header_value_match: { descriptor_value: "v", headers: [match] } }, { key: "header_match", value: "v" }],
    [
      { query_parameter_value_match: { descriptor_value: "v", query_parameters: [{ name: "q" }] } },
      { key: "query_match", value: "v" },
    ],
    [
      { masked_remote_address: { v4_prefix_mask_len: { value: 20 } } },
      { key: "masked_remote_address", value: "10.1.0.0/20" },
    ],
    [
      { metadata: { descriptor_key: "m", source: "ROUTE_ENTRY", metadata_key: { key: "ns", path: [{ key: "k" }] } } },
      { key: "m", value: "here" },
    ],
    [
      { metadata: { descriptor_key: "m", metadata_key: { key: "none", path: [{ key: "k" }] }, default_value: "d" } },
      { key: "m", value: "d" },
    ],
  ])("%j", async (action, entry) => {
    const route = { action: forward({ rate_limits: [{ actions: [action] }] }), metadata: { ns: { k: "here" } } };
    const { chain, asked, heads } = createChain({ overall_code: "OK" }, {}, { route });
    expect((await chain.ask({ path: "/x?q=1", headers: { "x-u": "a" } })).status).toBe(200);
    expect(asked).toEqual([{ domain: "d", descriptors: [{ entries: [entry] }] }]);
    expect(heads[0]).toMatchObject({
      path: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
      headers: { "content-type": "application/grpc", te: "trailers", "grpc-timeout": "20m" },
    });
  });

  it("masks addresses of six, too", async () => {
    const actions = [{ masked_remote_address: { v6_prefix_mask_len: { value: 36 } } }];
    const { chain, asked } = createChain(
      { overall_code: "OK" },
      {},
      { route: { action: forward({ rate_limits: [{ actions }] }) } },
    );
    await chain.ask({ client: "2001:db8:1234:5678::1" });
    expect(asked[0]?.descriptors?.[0]?.entries).toEqual([
      { key: "masked_remote_address", value: "2001:db8:1000::/36" },
    ]);
  });

  it.each([
    [{ request_headers: { header_name: "x-none", descriptor_key: "p" } }, {}],
    [{ generic_key: { descriptor_value: "v" } }, { stage: 1 }],
    [{ generic_key: { descriptor_value: "v" } }, { request_type: "internal" }],
  ])("asks nothing for %j with %j", async (action, filter) => {
    const route = { action: forward({ rate_limits: [{ actions: [action] }] }) };
    const { chain, asked } = createChain({ overall_code: "OVER_LIMIT" }, filter, { route });
    expect([(await chain.ask()).status, asked]).toEqual([200, []]);
  });

  it.each<[{ readonly vh_rate_limits: string; readonly domain?: string } | undefined, readonly string[]]>([
    [undefined, ["route"]],
    [{ vh_rate_limits: "INCLUDE" }, ["route", "host"]],
    [{ vh_rate_limits: "IGNORE", domain: "other" }, ["route"]],
  ])("adds those of the virtual host as the route says: %j", async (perRoute, values) => {
    const limit = (value: string) => ({ actions: [{ generic_key: { descriptor_value: value } }] });
    const route = {
      action: forward({ rate_limits: [limit("route")] }),
      virtualHostWire: { rate_limits: [limit("host")] },
    };
    const { chain, asked } = createChain({ overall_code: "OK" }, {}, { route, perRoute: perRoute ? [perRoute] : [] });
    await chain.ask();
    expect(asked[0]?.descriptors?.map(({ entries }) => entries?.[0]?.value)).toEqual(values);
    expect(asked[0]?.domain).toBe(perRoute?.domain ?? "d");
  });
});

describe("the answers of rateLimitFactory", () => {
  const route = { action: forward({ rate_limits: [{ actions: [{ generic_key: { descriptor_value: "v" } }] }] }) };

  it("refuses what is over the limit", async () => {
    const answer: RateLimitResponse = {
      overall_code: "OVER_LIMIT",
      statuses: [
        {
          code: "OVER_LIMIT",
          current_limit: { requests_per_unit: 10, unit: "MINUTE", name: "n" },
          duration_until_reset: { seconds: 30 },
        },
        { code: "OK", current_limit: { requests_per_unit: 5, unit: "SECOND" }, limit_remaining: 4 },
      ],
      response_headers_to_add: [{ key: "X-From", value: "service" }],
      raw_body: Buffer.from("slow down"),
    };
    const filter = { enable_x_ratelimit_headers: "DRAFT_VERSION_03", rate_limited_as_resource_exhausted: true };
    const { chain } = createChain(answer, filter, { route });
    const outcome = await chain.ask();
    expect(outcome.reply).toMatchObject({
      status: 429,
      body: "slow down",
      flags: ["RL"],
      details: "request_rate_limited",
      grpcStatus: 8,
    });
    expect(outcome.headers).toEqual({
      "x-from": "service",
      "x-ratelimit-limit": '10, 10;w=60;name="n", 5;w=1',
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": "30",
      "x-envoy-ratelimited": "true",
    });
  });

  it("adds headers to requests and answers that go on", async () => {
    const answer: RateLimitResponse = {
      overall_code: "OK",
      request_headers_to_add: [{ key: "x-up", value: "1" }],
      response_headers_to_add: [{ key: "x-down", value: "2" }],
    };
    const outcome = await createChain(answer, {}, { route }).chain.ask();
    expect([outcome.forwarded?.headers, outcome.headers]).toEqual([{ "x-up": "1" }, { "x-down": "2" }]);
  });

  it("lets requests through where the service fails, unless it is told not to", async () => {
    expect((await createChain("error", {}, { route }).chain.ask()).status).toBe(200);
    const strict = createChain("error", { failure_mode_deny: true }, { route });
    expect((await strict.chain.ask()).reply).toMatchObject({
      status: 500,
      flags: ["RLSE"],
      details: "rate_limiter_error",
    });
  });

  it.each([
    [{ rate_limit_service: { grpc_service: { google_grpc: {} } } }, "rate_limit_service.grpc_service.google_grpc"],
    [{ domain: "" }, "domain"],
    [{ rate_limit_service: {} }, "rate_limit_service.grpc_service"],
  ])("refuses %j", (filter, path) => {
    expect(() => createTestChain(rateLimitFactory, { filter: { ...base, ...filter } })).toThrow(path);
  });
});
