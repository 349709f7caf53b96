import { describe, expect, it } from "vitest";
import { corsFactory } from "./cors.ts";
import { createTestChain, type TestRequest } from "./test-exchange.ts";

const policy = {
  allow_origin_string_match: [{ exact: "https://a.example" }, { suffix: ".b.example" }],
  allow_methods: "GET,POST",
  allow_headers: "x-one",
  expose_headers: "x-two",
  max_age: "60",
  allow_credentials: { value: true },
};
const preflight = (origin: string, more = {}): TestRequest => ({
  method: "OPTIONS",
  headers: { origin, "access-control-request-method": "PUT", ...more },
});

describe("corsFactory", () => {
  it.each([
    [
      "a preflight of an allowed origin",
      policy,
      preflight("https://x.b.example"),
      {
        "access-control-allow-origin": "https://x.b.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-one",
        "access-control-max-age": "60",
        "access-control-expose-headers": "x-two",
      },
    ],
    [
      "a preflight that asks for anything",
      { allow_origin_string_match: [{ exact: "*" }], allow_methods: "*", allow_headers: "*" },
      preflight("https://z", { "access-control-request-headers": "x-a,x-b" }),
      {
        "access-control-allow-origin": "https://z",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-a,x-b",
      },
    ],
    [
      "a preflight of another origin that is not forwarded",
      { ...policy, forward_not_matching_preflights: { value: false } },
      preflight("https://evil"),
      {
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-one",
        "access-control-max-age": "60",
      },
    ],
    [
      "a preflight from a private network",
      { allow_origin_string_match: [{ exact: "*" }], allow_private_network_access: { value: true } },
      preflight("https://z", { "access-control-request-private-network": "true" }),
      {
        "access-control-allow-origin": "https://z",
        "access-control-allow-private-network": "true",
      },
    ],
  ])("answers %s itself", async (_what, config, request, headers) => {
    const chain = createTestChain(corsFactory, { filter: {}, perRoute: [config] });
    const outcome = await chain.ask(request);
    expect(outcome).toMatchObject({ status: 200, forwarded: undefined });
    expect(outcome.headers).toEqual(headers);
    expect(outcome.info.responseCodeDetails).toBe("cors_response");
  });

  it.each<[string, TestRequest, object]>([
    [
      "an allowed origin",
      { headers: { origin: "https://a.example" } },
      {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-two",
      },
    ],
    ["another origin", { headers: { origin: "https://evil" } }, {}],
    ["a preflight of another origin", preflight("https://evil"), {}],
    ["no origin", {}, {}],
    ["OPTIONS that is no preflight", { method: "OPTIONS", headers: { origin: "https://evil" } }, {}],
  ])("forwards a request with %s", async (_what, request, headers) => {
    const chain = createTestChain(corsFactory, { filter: {}, perRoute: [policy] });
    const outcome = await chain.ask(request);
    expect(outcome.forwarded).toBeDefined();
    expect(outcome.headers).toEqual(headers);
  });
});

describe("the policies of corsFactory", () => {
  it("reads the older fields only where no level has a policy by type", async () => {
    const cors = { allow_origin_string_match: [{ exact: "https://old" }] };
    const plan = { timeoutMs: 0, upgrades: new Map(), idleTimeoutMs: undefined };
    const route = { action: { kind: "forward", cluster: "c", plan, wire: { cors } } } as const;
    const request = { headers: { origin: "https://old" } };
    const older = await createTestChain(corsFactory, { filter: {}, route }).ask(request);
    expect(older.headers["access-control-allow-origin"]).toBe("https://old");
    const newer = await createTestChain(corsFactory, { filter: {}, route, perRoute: [policy] }).ask(request);
    expect(newer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("takes each field from the closest level that has it, and counts origins", async () => {
    const chain = createTestChain(corsFactory, { filter: {}, perRoute: [{ max_age: "1" }, policy] });
    const outcome = await chain.ask(preflight("https://a.example"));
    expect(outcome.headers).toMatchObject({ "access-control-max-age": "1", "access-control-allow-headers": "x-one" });
    await chain.ask({ headers: { origin: "https://evil" } });
    expect([chain.stat("http.test.cors.origin_valid"), chain.stat("http.test.cors.origin_invalid")]).toEqual([1, 1]);
  });

  it("only counts where it is enabled in the shadow, and does nothing where it is not", async () => {
    const off = { default_value: { numerator: 0 } };
    const on = { default_value: { numerator: 100 } };
    const shadow = createTestChain(corsFactory, {
      filter: {},
      perRoute: [{ ...policy, filter_enabled: off, shadow_enabled: on }],
    });
    expect((await shadow.ask(preflight("https://a.example"))).forwarded).toBeDefined();
    expect(shadow.stat("http.test.cors.origin_valid")).toBe(1);
    const disabled = createTestChain(corsFactory, { filter: {}, perRoute: [{ ...policy, filter_enabled: off }] });
    await disabled.ask(preflight("https://a.example"));
    expect(disabled.stat("http.test.cors.origin_valid")).toBe(0);
  });
});
