import { decode, encode } from "@meltemi/protos";
import type { AttributeContext, CheckResponse } from "@meltemi/protos/envoy/service/auth/v3";
import { describe, expect, it } from "vitest";
import { createTestCluster, type TestService, type TestServiceRequest } from "../test-cluster.ts";
import { createTestChain, type TestChainOptions } from "../test-exchange.ts";
import { extAuthzFactory } from "./ext-authz.ts";

const uri = { uri: "http://az/x", cluster: "az", timeout: { seconds: 1 } };
const exact = (...names: string[]) => ({ patterns: names.map((name) => ({ exact: name })) });

function createHttpChain(
  answer: TestService,
  filter: object = {},
  http: object = {},
  options: Partial<TestChainOptions> = {},
) {
  const asked: TestServiceRequest[] = [];
  const clusters = createTestCluster("az", (request) => {
    asked.push(request);
    return answer(request);
  });
  const wire = { http_service: { server_uri: uri, ...http }, ...filter };
  return { chain: createTestChain(extAuthzFactory, { filter: wire, clusters, ...options }), asked };
}

const allow: TestService = () => ({
  status: 200,
  headers: { "x-up": "1", "x-app": "2", "x-cl": "3", "x-md": "m", "x-hidden": "h" },
});

describe("an authorization service over HTTP", () => {
  it("is asked and answered as a real Envoy 1.40 does it", async () => {
    const http = {
      path_prefix: "/pre",
      authorization_request: { allowed_headers: exact("x-allowed"), headers_to_add: [{ key: "x-added", value: "v" }] },
      authorization_response: {
        allowed_upstream_headers: exact("x-up"),
        allowed_upstream_headers_to_append: exact("x-app"),
        allowed_client_headers_on_success: exact("x-cl"),
        dynamic_metadata_from_headers: exact("x-md"),
      },
    };
    const { chain, asked } = createHttpChain(allow, {}, http);
    const headers = { "x-allowed": "a", "x-not": "n", authorization: "zz", "x-up": "orig", "x-app": "orig" };
    const outcome = await chain.ask({ path: "/p?q=1", headers });
    expect(asked).toMatchObject([
      {
        method: "GET",
        path: "/pre/p?q=1",
        authority: "example.com",
        headers: {
          "content-length": "0",
          authorization: "zz",
          "x-allowed": "a",
          "x-added": "v",
          "x-envoy-internal": "true",
        },
      },
    ]);
    expect(asked[0]?.headers["x-not"]).toBeUndefined();
    expect(outcome.forwarded?.headers).toEqual({ ...headers, "x-up": "1", "x-app": "orig,2" });
    expect(outcome.headers).toEqual({ "x-cl": "3" });
    expect(outcome.info.dynamicMetadata.get("envoy.filters.http.ext_authz")).toMatchObject({ "x-md": "m" });
    expect(chain.stat("http.test.ext_authz.ok")).toBe(1);
  });

  it("is told what formats say, and adds headers that the request does not have", async () => {
    const http = {
      authorization_request: {
        headers_to_add: [
          { key: "x-added", value: "%REQ(x-a)%z" },
          { key: "x-none", value: "%REQ(nope)%" },
          { key: "X-Percent", value: "100%%" },
        ],
      },
      authorization_response: { allowed_upstream_headers_to_append: exact("x-app") },
    };
    const { chain, asked } = createHttpChain(allow, {}, http);
    const { forwarded } = await chain.ask({ headers: { "x-a": "A" } });
    expect(asked[0]?.headers).toMatchObject({ "x-added": "Az", "x-percent": "100%" });
    expect(asked[0]?.headers["x-none"]).toBeUndefined();
    expect(forwarded?.headers).toEqual({ "x-a": "A", "x-app": "2" });
  });

  it("has its denial shown to clients", async () => {
    const deny: TestService = () => ({
      status: 401,
      headers: { "x-deny": "1", "www-authenticate": "Basic", "x-other": "2", "content-length": "4" },
      body: "nope",
    });
    const outcome = await createHttpChain(deny).chain.ask();
    expect(outcome.reply).toMatchObject({ status: 401, body: "nope", flags: ["UAEX"], details: "ext_authz_denied" });
    expect(outcome.headers).toEqual({ "x-deny": "1", "www-authenticate": "Basic", "x-other": "2" });
    const http = { authorization_response: { allowed_client_headers: exact("x-deny") } };
    const narrow = await createHttpChain(deny, {}, http).chain.ask();
    expect(narrow.headers).toEqual({ "x-deny": "1", "www-authenticate": "Basic" });
  });

  it.each<[string, TestService, object, object]>([
    ["a failing service", () => ({ status: 503 }), {}, { status: 403, details: "ext_authz_error", flags: ["UAEX"] }],
    ["a broken connection", () => "reset", {}, { status: 403, details: "ext_authz_error" }],
    ["another status on errors", () => "reset", { status_on_error: { code: "BadGateway" } }, { status: 502 }],
    [
      "a filter that is off and then denies",
      allow,
      { filter_enabled: { default_value: { numerator: 0 } }, deny_at_disable: { default_value: { value: true } } },
      { status: 403, details: "ext_authz_error" },
    ],
  ])("denies with %s", async (_what, answer, filter, reply) => {
    expect((await createHttpChain(answer, filter).chain.ask()).reply).toMatchObject(reply);
  });
});

describe("an authorization service that does not decide alone", () => {
  it("lets requests through where it fails and that is allowed, or where it is not asked", async () => {
    const open = { failure_mode_allow: true, failure_mode_allow_header_add: true };
    const { chain } = createHttpChain(() => "reset", open);
    expect((await chain.ask()).forwarded?.headers).toEqual({ "x-envoy-auth-failure-mode-allowed": "true" });
    expect(chain.stat("http.test.ext_authz.failure_mode_allowed")).toBe(1);
    const off = createHttpChain(() => "reset", { filter_enabled: { default_value: { numerator: 0 } } });
    expect((await off.chain.ask()).status).toBe(200);
    const perRoute = [{ disabled: true }];
    expect((await createHttpChain(() => "reset", {}, {}, { perRoute }).chain.ask()).status).toBe(200);
  });

  it("ends its wait in time", async () => {
    const clock = {
      now: () => 0,
      monotonic: () => 0,
      after: (_ms: number, run: () => void) => {
        setImmediate(run);
        return { close: () => undefined };
      },
      every: () => ({ close: () => undefined }),
    };
    const { chain } = createHttpChain(() => "never", {}, {}, { clock });
    expect((await chain.ask()).status).toBe(403);
    expect(chain.stat("http.test.ext_authz.error")).toBe(1);
    expect(chain.stat("http.test.ext_authz.timeout")).toBe(0);
  });

  it.each([
    [{ max_request_bytes: 5, allow_partial_message: true }, "hello world", ["hello", "true"], 200],
    [{ max_request_bytes: 5, allow_partial_message: true }, "hell", ["hell", "false"], 200],
    [{ max_request_bytes: 5 }, "hello", ["hello", "false"], 200],
    [{ max_request_bytes: 5 }, "hello world", undefined, 413],
  ])("sees the body with %j of %s", async (settings, body, seen, status) => {
    const { chain, asked } = createHttpChain(allow, { with_request_body: settings });
    const outcome = await chain.ask({ method: "POST", body });
    expect(outcome.status).toBe(status);
    expect(outcome.forwarded?.body).toBe(status === 200 ? body : undefined);
    const [request] = asked;
    expect(request && [Buffer.from(request.body).toString(), request.headers["x-envoy-auth-partial-body"]]).toEqual(
      seen,
    );
  });
});

function createGrpcChain(answer: CheckResponse, filter: object = {}, perRoute: readonly object[] = []) {
  const asked: AttributeContext[] = [];
  const clusters = createTestCluster("az", (request) => {
    const { attributes = {} } = decode("envoy.service.auth.v3.CheckRequest", request.body.subarray(5));
    asked.push(attributes);
    const message = encode("envoy.service.auth.v3.CheckResponse", answer);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return { status: 200, body: Buffer.concat([head, message]), trailers: { "grpc-status": "0" } };
  });
  const wire = { grpc_service: { envoy_grpc: { cluster_name: "az" } }, ...filter };
  return { chain: createTestChain(extAuthzFactory, { filter: wire, clusters, perRoute }), asked };
}

describe("an authorization service over gRPC", () => {
  it("is told of the request", async () => {
    const perRoute = [
      { check_settings: { context_extensions: { a: "route" } } },
      { check_settings: { context_extensions: { a: "host", b: "host" } } },
    ];
    const filter = { with_request_body: { max_request_bytes: 100 } };
    const { chain, asked } = createGrpcChain({ status: {} }, filter, perRoute);
    await chain.ask({ method: "POST", path: "/p", headers: { "x-a": ["1", "2"] }, body: "hi" });
    expect(asked[0]).toMatchObject({
      source: { address: { socket_address: { address: "10.1.2.3", port_value: 4321 } } },
      destination: { address: { socket_address: { address: "10.9.9.9", port_value: 80 } } },
      request: {
        http: { method: "POST", path: "/p", host: "example.com", scheme: "http", protocol: "HTTP/1.1", body: "hi" },
      },
      context_extensions: { a: "route", b: "host" },
    });
    expect(asked[0]?.request?.http?.headers).toMatchObject({
      "x-a": "1,2",
      ":path": "/p",
      "x-envoy-auth-partial-body": "false",
    });
  });

  it("changes the request and the answer", async () => {
    const header = (key: string, value: string) => ({ key, value });
    const answer: CheckResponse = {
      ok_response: {
        headers: [
          { header: header("x-set", "new") },
          { header: header("x-app", "b"), append: { value: true } },
          { header: header("x-absent", "n"), append_action: "ADD_IF_ABSENT" },
        ],
        headers_to_remove: ["x-gone", "host", ":path"],
        response_headers_to_add: [{ header: header("x-down", "d") }],
        query_parameters_to_set: [{ key: "q", value: "2" }],
        query_parameters_to_remove: ["r"],
      },
    };
    const { chain } = createGrpcChain(answer, { clear_route_cache: true });
    const headers = { "x-set": "old", "x-app": "a", "x-gone": "1", "x-absent": "o" };
    const outcome = await chain.ask({ path: "/p?q=1&r=2&s=%20", headers });
    expect(outcome.forwarded).toMatchObject({
      path: "/p?q=2&s=%20",
      headers: { "x-set": "new", "x-app": "a,b", "x-absent": "o" },
    });
    expect(outcome.forwarded?.headers["x-gone"]).toBeUndefined();
    expect(outcome.headers).toEqual({ "x-down": "d" });
    expect(outcome.routeClears).toBe(1);
  });

  it("denies with what it says", async () => {
    const denied = {
      status: { code: 7 },
      denied_response: {
        status: { code: "PaymentRequired" },
        body: "pay",
        headers: [{ header: { key: "x-d", value: "1" } }],
      },
    } as const;
    const outcome = await createGrpcChain(denied).chain.ask();
    expect(outcome.reply).toMatchObject({ status: 402, body: "pay", details: "ext_authz_denied" });
    expect(outcome.headers).toEqual({ "x-d": "1" });
    expect((await createGrpcChain({ status: { code: 7 } }).chain.ask()).status).toBe(403);
  });

  it.each([
    [{}, "grpc_service"],
    [{ http_service: {} }, "http_service.server_uri"],
    [{ grpc_service: { google_grpc: {} } }, "grpc_service.google_grpc"],
    [{ http_service: { server_uri: uri }, decoder_header_mutation_rules: {} }, "decoder_header_mutation_rules"],
  ])("refuses %j", (filter, path) => {
    expect(() => createTestChain(extAuthzFactory, { filter })).toThrow(path);
  });
});
