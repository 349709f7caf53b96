import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { duration, u32 } from "@meltemi/protos";
import type { RouteAction, RouteConfiguration, Route as RouteWire } from "@meltemi/protos/envoy/config/route/v3";
import { afterEach, expect, test } from "vitest";
import { type BodySink, type BodySource, bodyOf } from "../http/body.ts";
import { ExchangeResetError, RestartError } from "../http/exchange.ts";
import { UpstreamError } from "../upstream/types.ts";
import { type Answer, closeRigs, closers, startRig, startServer } from "./testing/router-rig.ts";
import type { TestExchange, TestRequest } from "./testing/test-exchange.ts";

afterEach(closeRigs);

const counterOf = (stats: { counters(): ReadonlyMap<string, number> }, name: string): number =>
  stats.counters().get(name) ?? 0;

const fast = { base_interval: duration(1), max_interval: duration(1) };

test("a request goes to the cluster and its answer comes back", async () => {
  const port = await startServer((request, response) => {
    response.setHeader("x-host", request.headers.host ?? "");
    response.end(`${request.method} ${request.url}`);
  });
  const rig = startRig({ c: [port] }, {});
  const answer = await rig.ask({ path: "/p?q", authority: "b.com" });
  expect(answer).toMatchObject({ status: 200, body: "GET /p?q", details: "via_upstream", flags: [] });
  expect(answer.headers).toMatchObject({
    "x-host": "b.com",
    "x-envoy-upstream-service-time": expect.stringMatching(/^\d+$/),
  });
  expect(rig.cluster.sent[0]?.headers.get("x-envoy-expected-rq-timeout-ms")).toBe("15000");
  expect(answer.exchange.info).toMatchObject({ clusterName: "c", attempts: 1, upstreamLocalAddress: "127.0.0.1:1" });
  for (const name of ["upstream_rq_200", "upstream_rq_2xx", "external.upstream_rq_200"]) {
    expect(counterOf(rig.cluster.stats, name), name).toBe(1);
  }
  expect(rig.cluster.stats.histograms().get("upstream_rq_time")?.count).toBe(1);
});

test("bodies are passed on and answers without one, too", async () => {
  const port = await startServer((request, response) => {
    let size = 0;
    request.on("data", (chunk: Uint8Array) => {
      size += chunk.length;
    });
    request.on("end", () => response.writeHead(204, { "x-size": size, "content-length": 0 }).end());
  });
  const rig = startRig({ c: [port] }, { retry_policy: { retry_on: "5xx" } });
  const answer = await rig.ask({ method: "POST", body: bodyOf(Buffer.alloc(3_000_000)) });
  expect(answer).toMatchObject({ status: 204, headers: { "x-size": "3000000" } });
  expect(counterOf(rig.cluster.stats, "retry_or_shadow_abandoned")).toBe(1);
});

test.each<[RouteWire | RouteConfiguration, TestRequest, Partial<Answer>]>([
  [{ virtual_hosts: [] }, {}, { status: 404, details: "route_not_found", flags: ["NR"] }],
  [{ non_forwarding_action: {} }, {}, { status: 503, details: "cluster_not_found", flags: ["NC"] }],
  [{ route: { cluster: "none" } }, {}, { status: 503, details: "cluster_not_found", flags: ["NC"] }],
  [{ route: { cluster: "none", cluster_not_found_response_code: "NOT_FOUND" } }, {}, { status: 404, flags: ["NC"] }],
  [
    { route: { cluster: "empty" } },
    {},
    { status: 503, body: "no healthy upstream", flags: ["UH"], details: "no_healthy_upstream" },
  ],
  [
    {
      direct_response: { status: 418, body: { inline_string: "tea" } },
      response_headers_to_add: [{ header: { key: "x", value: "1" } }],
    },
    {},
    { status: 418, body: "tea", headers: { x: "1" }, details: "direct_response" },
  ],
  [{ redirect: { host_redirect: "b.com" } }, { path: "/x" }, { status: 301, headers: { location: "http://b.com/x" } }],
])("the route %j answers %j itself", async (route, request, expected) => {
  const rig = startRig({ empty: [] }, route);
  expect(await rig.ask(request)).toMatchObject(expected);
});

test("hosts, paths and headers are rewritten", async () => {
  const port = await startServer((request, response) => response.end(JSON.stringify([request.url, request.headers])));
  const rig = startRig(
    { c: [port] },
    {
      match: { prefix: "/a" },
      route: { cluster: "c", prefix_rewrite: "/b", host_rewrite_literal: "new.com", append_x_forwarded_host: true },
      request_headers_to_add: [
        { header: { key: "x-path", value: "%REQ(:PATH)%" } },
        { header: { key: "x-old", value: "new" }, append_action: "OVERWRITE_IF_EXISTS" },
        { header: { key: "x-percent", value: "100%%" } },
        { header: { key: "x-none", value: "%REQ(x-absent)%" } },
      ],
      request_headers_to_remove: ["x-gone"],
      response_headers_to_add: [{ header: { key: "x-code", value: "%RESPONSE_CODE_DETAILS%" } }],
    },
  );
  const answer = await rig.ask({ path: "/a/c?d", authority: "old.com", headers: ["x-old", "1", "x-gone", "1"] });
  const [path, headers] = JSON.parse(answer.body) as [string, Record<string, string>];
  expect(path).toBe("/b/c?d");
  expect(headers).toMatchObject({
    ...{
      host: "new.com",
      "x-forwarded-host": "old.com",
      "x-envoy-original-path": "/a/c?d",
      "x-envoy-original-host": "old.com",
    },
    ...{ "x-path": "/a/c?d", "x-old": "new", "x-percent": "100%" },
  });
  expect(headers).not.toHaveProperty("x-gone");
  expect(headers).not.toHaveProperty("x-none");
  expect(answer.headers["x-code"]).toBe("via_upstream");
});

test("the host may become that of the upstream", async () => {
  const port = await startServer((request, response) => response.end(request.headers.host));
  const rig = startRig({ c: [port] }, { auto_host_rewrite: { value: true } });
  Object.assign(rig.cluster.listHosts()[0] ?? {}, { hostname: "up.com" });
  expect((await rig.ask({ authority: "a.com" })).body).toBe("up.com");
});

test("a failed attempt is made again elsewhere, with its body", async () => {
  const bad = await startServer((_request, response) => response.writeHead(503).end("bad"));
  const good = await startServer((request, response) => {
    response.setHeader("x-attempt", request.headers["x-envoy-attempt-count"] ?? "");
    request.pipe(response);
  });
  const previous = [{ name: "envoy.retry_host_predicates.previous_hosts" }];
  const retry_policy = { retry_on: "5xx", num_retries: u32(2), retry_host_predicate: previous, retry_back_off: fast };
  const rig = startRig(
    { c: [bad, good] },
    {
      virtual_hosts: [
        {
          ...{
            name: "v",
            domains: ["*"],
            include_request_attempt_count: true,
            include_attempt_count_in_response: true,
          },
          routes: [{ match: { prefix: "/" }, route: { cluster: "c", retry_policy } }],
        },
      ],
    },
  );
  const answer = await rig.ask({ method: "POST", body: bodyOf(Buffer.from("hello")) });
  expect(answer).toMatchObject({
    status: 200,
    body: "hello",
    headers: { "x-attempt": "2", "x-envoy-attempt-count": "2" },
  });
  expect(rig.cluster.contexts[1]?.avoid).toEqual(new Set([rig.cluster.listHosts()[0]]));
  for (const name of ["upstream_rq_retry", "upstream_rq_retry_success", "retry.upstream_rq_503", "upstream_rq_200"]) {
    expect(counterOf(rig.cluster.stats, name), name).toBe(1);
  }
  expect(counterOf(rig.cluster.stats, "upstream_rq_503")).toBe(0);
});

test.each<[string, RouteAction["retry_policy"], string[], number]>([
  ["the limit", { retry_on: "5xx", num_retries: u32(2), retry_back_off: fast }, [], 3],
  ["no policy", undefined, [], 1],
  ["a header", undefined, ["x-envoy-retry-on", "gateway-error", "x-envoy-max-retries", "3"], 4],
  ["other conditions", { retry_on: "connect-failure,reset,retriable-4xx", retry_back_off: fast }, [], 1],
  ["codes", { retry_on: "retriable-status-codes", retriable_status_codes: [503], retry_back_off: fast }, [], 2],
  [
    "headers of the answer",
    { retry_on: "retriable-headers", retriable_headers: [{ name: "x-again" }], retry_back_off: fast },
    [],
    2,
  ],
  [
    "headers of the request",
    { retry_on: "5xx", retriable_request_headers: [{ name: "x-none" }], retry_back_off: fast },
    [],
    1,
  ],
  ["gRPC's codes", { retry_on: "unavailable", retry_back_off: fast }, [], 2],
])("attempts end by %s", async (_name, retry_policy, headers, expected) => {
  let attempts = 0;
  const port = await startServer((_request, response) => {
    attempts += 1;
    response.writeHead(503, { "x-again": "1", "grpc-status": "14" }).end("bad");
  });
  const rig = startRig({ c: [port] }, { retry_policy });
  const answer = await rig.ask({ headers });
  expect(answer).toMatchObject({ status: 503, body: "bad" });
  expect(attempts).toBe(expected);
  if (expected > 1) expect(answer.flags).toEqual(["URX"]);
  for (const { headers: sent } of rig.cluster.sent) expect(sent.has("x-envoy-retry-on")).toBe(false);
});

test("retries stop where too many are under way", async () => {
  const port = await startServer((_request, response) => response.writeHead(503).end());
  const rig = startRig({ c: [port] }, { retry_policy: { retry_on: "5xx", retry_back_off: fast } });
  rig.cluster.maxRetries = 0;
  expect(await rig.ask({})).toMatchObject({ status: 503, flags: ["UO"] });
  // The breaker counts it, and this one counts nothing.
  expect(counterOf(rig.cluster.stats, "upstream_rq_retry_overflow")).toBe(0);
});

test.each([
  ["drop-overload", "drop overload", "DO", "drop_overload"],
  ["unconditional-drop-overload", "unconditional drop overload", "UDO", "unconditional_drop_overload"],
] as const)("%s is told of, and is no attempt", async (failure, body, flag, details) => {
  const rig = startRig({ c: [1] }, {});
  rig.cluster.chooseHost = () => {
    throw new UpstreamError(failure);
  };
  const answer = await rig.ask({});
  expect(answer).toMatchObject({ status: 503, body, flags: [flag], details });
  expect(answer.headers).toEqual({ [`x-envoy-${failure}`]: "true" });
  expect(answer.exchange.info.attempts).toBe(0);
});

test("a request that found no place in the queue had no host", async () => {
  const rig = startRig({ c: [1] }, {});
  rig.cluster.send = () => ({ response: Promise.reject(new UpstreamError("overflow")), cancel: () => undefined });
  const { flags, exchange } = await rig.ask({});
  expect([flags, exchange.info.upstreamHost]).toEqual([["UO"], undefined]);
});

test("a server that cannot be reached, or that breaks off, is told of", async () => {
  const closed = await startServer(() => undefined);
  for (const close of closers.splice(0)) close();
  const rig = startRig({ c: [closed] }, {});
  expect(await rig.ask({})).toMatchObject({
    ...{ status: 503, flags: ["UF"], details: "upstream_reset_before_response_started{remote_connection_failure}" },
    body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
  });
  expect(counterOf(rig.cluster.stats, "upstream_rq_503")).toBe(1);
  const breaking = await startServer((request) => request.socket.destroy());
  const retrying = startRig({ c: [breaking] }, { retry_policy: { retry_on: "reset", retry_back_off: fast } });
  expect(await retrying.ask({})).toMatchObject({
    ...{ status: 503, flags: ["URX", "UC"] },
    body: "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination",
  });
});

test("an answer that breaks off is broken off", async () => {
  const port = await startServer((_request, response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("some");
    setImmediate(() => response.destroy());
  });
  const rig = startRig({ c: [port] }, {});
  const problem = await rig.ask({}).catch((cause: unknown) => cause);
  expect(problem).toBeInstanceOf(ExchangeResetError);
  expect(problem).toMatchObject({
    ...{ message: "upstream_reset_after_response_started{connection_termination}", flags: ["UC"] },
  });
  expect(counterOf(rig.stats, "rq_reset_after_downstream_response_started")).toBe(1);
});

test.each<[RouteAction, string[], Partial<Answer>, string]>([
  [
    { timeout: duration(30) },
    [],
    { status: 504, body: "upstream request timeout", details: "response_timeout" },
    "upstream_rq_timeout",
  ],
  [{}, ["x-envoy-upstream-rq-timeout-ms", "30"], { status: 504 }, "upstream_rq_timeout"],
  [
    { timeout: duration(30) },
    ["x-envoy-upstream-rq-timeout-alt-response", "1"],
    { status: 204, body: "" },
    "upstream_rq_timeout",
  ],
  [
    { retry_policy: { per_try_timeout: duration(30) } },
    [],
    { status: 504, details: "upstream_per_try_timeout" },
    "upstream_rq_per_try_timeout",
  ],
  [
    { retry_policy: { per_try_idle_timeout: duration(30) } },
    [],
    { status: 504, details: "upstream_per_try_idle_timeout" },
    "upstream_rq_per_try_idle_timeout",
  ],
])("the times of %j and %j end a request", async (action, headers, expected, counter) => {
  const port = await startServer(() => undefined);
  const rig = startRig({ c: [port] }, action);
  expect(await rig.ask({ headers })).toMatchObject({ ...expected, flags: ["UT"] });
  expect(counterOf(rig.cluster.stats, counter)).toBe(1);
  expect(rig.cluster.reports).toEqual([{ kind: "local-failure", failure: "timeout" }]);
});

test("an attempt that takes too long is made again", async () => {
  const port = await startServer((_request, response, count) => {
    if (count > 1) response.end("second");
  });
  const rig = startRig(
    { c: [port] },
    { retry_policy: { retry_on: "5xx", per_try_timeout: duration(50), retry_back_off: fast } },
  );
  expect(await rig.ask({})).toMatchObject({ status: 200, body: "second" });
  expect(rig.cluster.sent[0]?.headers.get("x-envoy-expected-rq-timeout-ms")).toBe("50");
});

test("a hedged request takes the first good answer", async () => {
  let first: ServerResponse | undefined;
  const port = await startServer((_request, response, count) => {
    if (count === 1) first = response;
    else first?.end("first");
  });
  const rig = startRig(
    { c: [port] },
    {
      hedge_policy: { hedge_on_per_try_timeout: true },
      retry_policy: { retry_on: "5xx", per_try_timeout: duration(30), num_retries: u32(1), retry_back_off: fast },
    },
  );
  expect(await rig.ask({})).toMatchObject({ status: 200, body: "first" });
  expect(rig.cluster.sent).toHaveLength(2);
});

test("copies of requests go to mirrors", async () => {
  const port = await startServer((request, response) => request.pipe(response));
  let seen: (request: readonly string[]) => void = () => undefined;
  const copy = new Promise<readonly string[]>((resolve) => {
    seen = resolve;
  });
  const mirror = await startServer((request, response) => {
    request.setEncoding("utf8");
    let body = "";
    request.on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      seen([request.headers.host ?? "", body]);
      response.end("ignored");
    });
  });
  const rig = startRig(
    { c: [port], m: [mirror] },
    { request_mirror_policies: [{ cluster: "m" }, { cluster: "none" }] },
  );
  expect(await rig.ask({ method: "POST", authority: "a.com:80", body: bodyOf(Buffer.from("x")) })).toMatchObject({
    body: "x",
  });
  expect(await copy).toEqual(["a.com-shadow:80", "x"]);
});

test("hashes of requests choose hosts, and cookies keep clients where they were", async () => {
  const port = await startServer((_request, response) => response.end());
  const hash_policy = [
    { header: { header_name: "x-user" }, terminal: true },
    { cookie: { name: "s", ttl: duration(60_000), path: "/" } },
  ];
  const rig = startRig({ c: [port] }, { hash_policy });
  const hashes: (bigint | undefined)[] = [];
  const { chooseHost } = rig.cluster;
  rig.cluster.chooseHost = (context) => {
    // No accessor of the object itself, by which each request was kept until the next full collection.
    expect(Object.hasOwn(context, "hash")).toBe(false);
    hashes.push(context.hash);
    return chooseHost(context);
  };
  await rig.ask({ headers: ["x-user", "foo"] });
  const answer = await rig.ask({});
  await rig.ask({ headers: ["cookie", 's="foo"'] });
  const [byHeader, byNew, byCookie] = hashes;
  expect(byHeader).toBe(3728699739546630719n);
  expect(byCookie).toBe(byHeader);
  expect(answer.headers["set-cookie"]).toMatch(/^s="[0-9a-f]{16}"; Max-Age=60; Path=\/; HttpOnly$/);
  expect(byNew).toBeDefined();
});

test("a request is what its upstream gets before a host is chosen: in its hash, and where there is no host", async () => {
  const route: RouteWire = {
    match: { prefix: "/a" },
    route: {
      ...{ cluster: "c", prefix_rewrite: "/b", host_rewrite_literal: "new.com" },
      hash_policy: [{ header: { header_name: "x-user" } }],
    },
    request_headers_to_add: [{ header: { key: "x-user", value: "foo" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
  };
  const rig = startRig({ c: [] }, route);
  const { exchange, status } = await rig.ask({ path: "/a/c", headers: ["x-user", "bar"] });
  expect([status, rig.cluster.contexts[0]?.hash]).toEqual([503, 3728699739546630719n]);
  const { path, authority, headers } = exchange.request;
  expect([path, authority, headers.get("x-user")]).toEqual(["/b/c", "new.com", "foo"]);
  expect([headers.get("x-envoy-original-path"), headers.get("x-envoy-expected-rq-timeout-ms")]).toEqual([
    ...["/a/c", "15000"],
  ]);
});

test("a CONNECT may end here", async () => {
  const { createServer: createTcpServer } = await import("node:net");
  const server = createTcpServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closers.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const upgrade_configs = [{ upgrade_type: "CONNECT", connect_config: {} }];
  const rig = startRig({ c: [port] }, { match: { connect_matcher: {} }, route: { cluster: "c", upgrade_configs } });
  const request = { method: "CONNECT", path: "", upgrade: "connect", body: bodyOf(Buffer.from("ping")) };
  expect(await rig.ask(request)).toMatchObject({ status: 200, body: "ping" });
});

test("a redirect of the upstream is followed through the filters", async () => {
  const port = await startServer((_request, response) =>
    response.writeHead(302, { location: "http://b.com/next?x" }).end(),
  );
  const rig = startRig({ c: [port] }, { internal_redirect_policy: { predicates: [] } });
  let exchange: TestExchange | undefined;
  const problem = await rig
    .ask({ path: "/first" }, (created) => {
      exchange = Object.assign(created, { canRestart: true });
    })
    .catch((cause: unknown) => cause);
  expect(problem).toBeInstanceOf(RestartError);
  expect(exchange?.request).toMatchObject({ authority: "b.com", path: "/next?x" });
  expect(exchange?.request.headers.get("x-envoy-original-url")).toBe("http://a.com/first");
  expect(counterOf(rig.cluster.stats, "upstream_rq_completed")).toBe(0);
  expect(await rig.ask({})).toMatchObject({ status: 302 });
  expect(counterOf(rig.cluster.stats, "upstream_rq_completed")).toBe(1);
});

test("a redirect that leads to no route goes to the client, and logs name no route", async () => {
  const port = await startServer((_request, response) =>
    response.writeHead(302, { location: "http://b.com/no" }).end(),
  );
  const rig = startRig(
    { c: [port] },
    { match: { prefix: "/a" }, route: { cluster: "c", internal_redirect_policy: {} } },
  );
  const { status, exchange } = await rig.ask({ path: "/a" }, (created) => {
    Object.assign(created, { canRestart: true });
    Object.assign(created.info, { routeName: "a", clusterName: "c" });
  });
  const { info, request } = exchange;
  expect([status, info.routeName, info.clusterName, request.path]).toEqual([302, "", "", "/a"]);
});

test("a client that goes ends what was begun for it", async () => {
  let hasEnded: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    hasEnded = resolve;
  });
  let hasCome: () => void = () => undefined;
  const come = new Promise<void>((resolve) => {
    hasCome = resolve;
  });
  const port = await startServer((_request, response) => {
    response.once("close", hasEnded);
    hasCome();
  });
  const rig = startRig({ c: [port] }, { timeout: duration(0) });
  let exchange: TestExchange | undefined;
  const asked = rig.ask({}, (created) => {
    exchange = created;
  });
  const problem = asked.catch((cause: unknown) => cause);
  await come;
  exchange?.abort();
  expect(await problem).toBeInstanceOf(ExchangeResetError);
  await ended;
});

test("an attempt after a body that was too long to keep is not made", async () => {
  const port = await startServer((request, response) => {
    request.once("data", () => response.writeHead(503).end("early"));
  });
  const rig = startRig(
    { c: [port] },
    {
      match: { prefix: "/" },
      per_request_buffer_limit_bytes: u32(10),
      route: { cluster: "c", retry_policy: { retry_on: "5xx" } },
    },
  );
  let sink: BodySink | undefined;
  const body: BodySource = {
    pipe(target) {
      sink = target;
      target.write(Buffer.alloc(20));
    },
    resume: () => undefined,
    cancel: () => undefined,
  };
  expect(await rig.ask({ method: "POST", body })).toMatchObject({ status: 503, body: "early" });
  expect(sink).toBeDefined();
  expect(rig.cluster.sent).toHaveLength(1);
});
