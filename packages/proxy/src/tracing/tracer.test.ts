import { packAny } from "@meltemi/protos";
import type { HttpConnectionManager_Tracing } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { describe, expect, it } from "vitest";
import { sampleEntry, sampleHost } from "../../test/sample-entry.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import { collect } from "../http/body.ts";
import type { Exchange } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import type { UpstreamCluster, UpstreamRequest } from "../upstream/types.ts";
import { b3Propagation, type Extracted, type TraceIds, w3cPropagation } from "./trace-context.ts";
import { createTracer } from "./tracer.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";
const requestId = "e98179b5-9ae3-43a2-b0f4-6748311ea615";

describe("trace contexts", () => {
  const from = (ids: Partial<TraceIds>, isSampled: boolean | undefined): Extracted => ({
    context: { traceId, spanId, parentId: undefined, ...ids },
    isSampled,
  });
  const nothing = { context: undefined, isSampled: undefined };
  const zeros = "0".repeat(16);

  it.each<[string[], Extracted | "malformed"]>([
    [["traceparent", `00-${traceId}-${spanId}-01`], from({}, true)],
    [["traceparent", `ff-${traceId.toUpperCase()}-${spanId}-02`], from({}, false)],
    [["traceparent", `cc-${traceId}-${spanId}-00-more`], "malformed"],
    [["traceparent", `00-${zeros}${zeros}-${spanId}-01`], "malformed"],
    [["traceparent", ""], "malformed"],
    [[], nothing],
  ])("reads %j", (raw, extracted) => {
    expect(w3cPropagation.extract(new HeaderList(raw))).toEqual(extracted);
  });

  it.each<[string[], Extracted | "malformed"]>([
    [["x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-sampled", "1"], from({}, true)],
    [
      ["x-b3-traceid", spanId, "x-b3-spanid", spanId, "x-b3-parentspanid", spanId],
      from({ traceId: spanId, parentId: spanId }, undefined),
    ],
    [
      ["x-b3-traceid", "A1", "x-b3-spanid", "a2", "x-b3-parentspanid", ""],
      from({ traceId: `${zeros.slice(2)}a1`, spanId: `${zeros.slice(2)}a2` }, undefined),
    ],
    [["x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-flags", "1"], from({}, undefined)],
    [["x-b3-traceid", traceId, "x-b3-sampled", "0"], { context: undefined, isSampled: false }],
    [["x-b3-traceid", "nonsense", "x-b3-spanid", spanId], "malformed"],
    [["x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-parentspanid", "zz"], "malformed"],
    [["b3", `${traceId}-${spanId}-0-${spanId}`], from({ parentId: spanId }, false)],
    [["b3", `${traceId}-${spanId}-d`], from({}, true)],
    [["b3", `${traceId}-${spanId}`, "x-b3-traceid", spanId, "x-b3-spanid", spanId], from({}, undefined)],
    [["b3", "0"], { context: undefined, isSampled: false }],
    [["b3", "d"], { context: undefined, isSampled: true }],
    [["b3", "zz", "x-b3-traceid", traceId, "x-b3-spanid", spanId], "malformed"],
    [["b3", `${traceId}-${spanId}-x`], "malformed"],
    [["b3", ""], "malformed"],
  ])("reads %j", (raw, extracted) => {
    expect(b3Propagation.extract(new HeaderList(raw))).toEqual(extracted);
  });

  it.each([
    [
      ["b3", "1"],
      ["b3", `${traceId}-${spanId}-1-${spanId}`],
    ],
    [
      ["x-b3-sampled", "1"],
      ["x-b3-sampled", "1", "x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-parentspanid", spanId],
    ],
  ])("goes on from %j in the same form", (raw, written) => {
    const headers = new HeaderList(raw);
    b3Propagation.inject(headers, { traceId, spanId, parentId: spanId, isSampled: true });
    expect([...headers].flat().sort()).toEqual([...written].sort());
  });
});

interface Rig {
  readonly env: HttpFilterEnv;
  readonly sent: { readonly request: UpstreamRequest; readonly body: Buffer }[];
  readonly stats: ReturnType<typeof createStatsRegistry>;
}

/** An environment whose one cluster takes everything and answers with `status`. */
function createRig({ dice = 0.5, status = 202, grpcStatus = "0" } = {}): Rig {
  const sent: Rig["sent"] = [];
  const stats = createStatsRegistry();
  const cluster: Pick<UpstreamCluster, "chooseHost" | "send"> = {
    chooseHost: () => sampleHost,
    send: (_, request) => ({
      response: (async () => {
        const body = request.body && (await collect(request.body, 1e6));
        sent.push({ request, body: Buffer.from(body?.bytes ?? []) });
        return { status, headers: new HeaderList(["grpc-status", grpcStatus]), body: undefined, protocol: "HTTP/1.1" };
      })(),
      cancel: () => undefined,
    }),
  };
  const timer = { close: () => undefined };
  const env: Partial<HttpFilterEnv> = {
    clusters: { find: (name) => (name === "collector" ? (cluster as UpstreamCluster) : undefined), list: () => [] },
    clock: { now: () => 1_000_000, monotonic: () => 5000, after: () => timer, every: () => timer },
    log: silentLog,
    stats,
    random: () => dice,
    node: { id: "n1", cluster: "svc", locality: { zone: "z" } },
    direction: "INBOUND",
    runtime: {
      number: (_, otherwise) => otherwise,
      flag: (_, otherwise) => otherwise,
      isChosen: () => true,
      entries: () => new Map(),
    },
  };
  return { env: env as HttpFilterEnv, sent, stats };
}

function createExchange(...headers: readonly string[]): Exchange {
  const { info, request } = sampleEntry();
  if (request === undefined) throw new Error("the sample has a request");
  request.headers = new HeaderList(["x-request-id", requestId, ...headers]);
  return { info, request } as Exchange;
}

const zipkin: HttpConnectionManager_Tracing = {
  provider: {
    typed_config: packAny("envoy.config.trace.v3.ZipkinConfig", {
      collector_cluster: "collector",
      collector_endpoint: "/api/v2/spans",
      collector_hostname: "zipkin.example",
      collector_endpoint_version: "HTTP_JSON",
      trace_id_128bit: true,
    }),
  },
};
const otlp: HttpConnectionManager_Tracing = {
  provider: {
    typed_config: packAny("envoy.config.trace.v3.OpenTelemetryConfig", {
      grpc_service: { envoy_grpc: { cluster_name: "collector" } },
      service_name: "mine",
    }),
  },
};

describe("sampling", () => {
  it.each([
    [{ random_sampling: { value: 51 } }, [], "9"],
    [{ random_sampling: { value: 50 } }, [], "4"],
    [{ random_sampling: { value: 0 } }, ["x-envoy-force-trace", "true"], "a"],
    [{ random_sampling: { value: 0 } }, ["x-client-trace-id", "1"], "b"],
    [{ random_sampling: { value: 0 }, client_sampling: { value: 0 } }, ["x-client-trace-id", "1"], "4"],
    [{ overall_sampling: { value: 50 } }, [], "4"],
  ])("%j with %j", (wire: HttpConnectionManager_Tracing, headers, digit) => {
    const exchange = createExchange(...headers);
    const span = createTracer({ ...zipkin, ...wire }, createRig().env).start(exchange);
    expect(exchange.request.headers.get("x-request-id")).toBe(`e98179b5-9ae3-${digit}3a2-b0f4-6748311ea615`);
    expect(span !== undefined).toBe(digit !== "4");
    expect(exchange.request.headers.get("x-b3-sampled")).toBe(digit === "4" ? "0" : "1");
  });

  it("keeps the decision that the id came with, and traces no health checks", () => {
    const exchange = createExchange();
    exchange.request.headers.set("x-request-id", "e98179b5-9ae3-a3a2-b0f4-6748311ea615");
    expect(createTracer({ ...zipkin, random_sampling: { value: 0 } }, createRig().env).start(exchange)).toBeDefined();
    const check = createExchange();
    check.info.isHealthCheck = true;
    expect(createTracer(zipkin, createRig().env).start(check)).toBeUndefined();
    const unreported = createExchange();
    expect(createTracer({}, createRig().env).start(unreported)).toBeUndefined();
    expect(unreported.request.headers.get("x-request-id")?.[14]).toBe("9");
  });
});

describe("createTracer", () => {
  it("sends spans to Zipkin", async () => {
    const rig = createRig();
    const tracer = createTracer(
      {
        ...zipkin,
        max_path_tag_length: { value: 4 },
        custom_tags: [
          { tag: "lit", literal: { value: "l" } },
          { tag: "head", request_header: { name: "X-A", default_value: "none" } },
          { tag: "meta", metadata: { kind: { request: {} }, metadata_key: { key: "ns", path: [{ key: "user" }] } } },
          { tag: "route", metadata: { kind: { route: {} }, metadata_key: { key: "r", path: [{ key: "k" }] } } },
        ],
      },
      rig.env,
    );
    const exchange = createExchange("x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-sampled", "1");
    const span = tracer.start(exchange);
    expect(span?.traceId).toBe(traceId);
    expect(exchange.info.traceId).toBe(traceId);
    const child = span?.spawn("router a egress");
    child?.inject(exchange.request);
    expect(exchange.request.headers.get("x-b3-parentspanid")).toBe(spanId);
    child?.finish();
    if (span !== undefined) tracer.finish(span, { ...sampleEntry(), request: exchange.request });
    expect(rig.sent).toEqual([]);
    tracer.close();
    await expect.poll(() => rig.sent.length).toBe(1);
    expect(rig.sent[0]?.request).toMatchObject({ method: "POST", path: "/api/v2/spans", authority: "zipkin.example" });
    expect(JSON.parse(rig.sent[0]?.body.toString() ?? "")).toMatchObject([
      {
        traceId,
        parentId: spanId,
        kind: "CLIENT",
        name: "router a egress",
        tags: { lit: "l", head: "none", meta: "joe" },
      },
      {
        traceId,
        id: spanId,
        kind: "SERVER",
        name: "a.example:80",
        timestamp: 1_000_000_000,
        shared: true,
        annotations: [{ timestamp: 1_000_000_000, value: "ss" }],
        localEndpoint: { serviceName: "svc", ipv4: expect.stringMatching(/^[\d.]+$/), port: 0 },
        tags: {
          component: "proxy",
          "http.method": "GET",
          "http.url": "http://a.example:80/foo",
          "http.status_code": "200",
          response_flags: "-",
          "peer.address": "::1",
          node_id: "n1",
          lit: "l",
          head: "none",
          meta: "joe",
          route: "true",
        },
      },
    ]);
    await expect.poll(() => rig.stats.counters().get("tracing.zipkin.spans_sent")).toBe(2);
  });
});

describe("traces that requests come with", () => {
  it.each([
    ["x-b3-traceid", "zz", "x-b3-spanid", spanId],
    ["b3", "zz"],
  ])("leaves headers %j as they are, and reports nothing", (...headers) => {
    const exchange = createExchange(...headers);
    const before = [...exchange.request.headers];
    expect(createTracer(zipkin, createRig().env).start(exchange)).toBeUndefined();
    expect([...exchange.request.headers].slice(2)).toEqual(before.slice(2));
    expect(exchange.request.headers.has("x-b3-sampled")).toBe(false);
    expect(exchange.info.traceId).toBe("");
  });

  it("lets a request alone say that it is not sampled, and goes on in the same header", () => {
    const exchange = createExchange("b3", "0");
    expect(createTracer(zipkin, createRig().env).start(exchange)).toBeUndefined();
    expect(exchange.request.headers.get("b3")).toMatch(/^[0-9a-f]{32}-[0-9a-f]{16}-0$/);
  });

  it.each<[HttpConnectionManager_Tracing, HttpFilterEnv["direction"], boolean]>([
    [{}, "INBOUND", true],
    [{}, "OUTBOUND", false],
    [{ spawn_upstream_span: { value: true } }, "OUTBOUND", true],
  ])("shares only a server's span: %j, %s", (wire, direction, isShared) => {
    const { env } = createRig();
    const exchange = createExchange("x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-sampled", "1");
    const span = createTracer({ ...zipkin, ...wire }, { ...env, direction }).start(exchange);
    expect(span?.spanId === spanId).toBe(isShared);
  });

  it("shows the upstream a span below, sampled or not, where each attempt has one", () => {
    const exchange = createExchange("x-b3-traceid", traceId, "x-b3-spanid", spanId, "x-b3-sampled", "0");
    createTracer({ ...zipkin, spawn_upstream_span: { value: true } }, createRig().env).start(exchange);
    expect(exchange.request.headers.get("x-b3-parentspanid")).toBe(spanId);
    expect(exchange.request.headers.get("x-b3-spanid")).not.toBe(spanId);
  });

  it("does not share a span where Zipkin's configuration says so", () => {
    const typed_config = packAny("envoy.config.trace.v3.ZipkinConfig", {
      collector_cluster: "collector",
      collector_endpoint: "/spans",
      collector_endpoint_version: "HTTP_JSON",
      shared_span_context: { value: false },
    });
    const span = createTracer({ provider: { typed_config } }, createRig().env).start(
      createExchange("x-b3-traceid", traceId, "x-b3-spanid", spanId),
    );
    expect(span?.traceId).toBe(traceId);
    expect(span?.spanId).not.toBe(spanId);
  });
});

describe("what collectors are told", () => {
  it.each([
    ["application/grpc", "8", { error: "true", "grpc.status_code": "8", "grpc.timeout": "1S" }],
    ["application/grpc+proto", "7", { "grpc.status_code": "7", "grpc.path": "/foo?q=a%20b", "grpc.message": "no" }],
    ["text/plain", "13", { error: "true", "grpc.status_code": "13" }],
  ])("tells of gRPC: %s, %s", async (type, status, tags) => {
    const rig = createRig();
    const tracer = createTracer(zipkin, rig.env);
    const exchange = createExchange("content-type", type, "grpc-timeout", "1S");
    const span = tracer.start(exchange);
    const responseTrailers = new HeaderList(["grpc-status", status, "grpc-message", "no"]);
    if (span !== undefined) tracer.finish(span, { ...exchange, responseTrailers });
    tracer.close();
    await expect.poll(() => rig.sent.length).toBe(1);
    const [sent] = JSON.parse(rig.sent[0]?.body.toString() ?? "");
    expect(sent.tags).toMatchObject(tags);
    expect(sent.tags.error).toBe((tags as { readonly error?: string }).error);
    // Only spans of attempts have the host's.
    expect(sent.tags.upstream_address).toBeUndefined();
    expect(sent.tags["grpc.content_type"]).toBe(type === "text/plain" ? undefined : type);
  });

  it("sends spans by OTLP, and goes on from a traceparent", async () => {
    const rig = createRig({ status: 200 });
    const tracer = createTracer(otlp, rig.env);
    const exchange = createExchange("traceparent", `00-${traceId}-${spanId}-01`);
    const span = tracer.start(exchange);
    expect(exchange.request.headers.get("traceparent")).toBe(`00-${traceId}-${span?.spanId}-01`);
    span?.finish();
    span?.finish();
    tracer.close();
    await expect.poll(() => rig.sent.length).toBe(1);
    const { request, body } = rig.sent[0] ?? {};
    expect(request?.path).toBe("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    expect(request?.headers.get("content-type")).toBe("application/grpc");
    expect(body?.readUInt32BE(1)).toBe((body?.length ?? 0) - 5);
    const [resourceSpans] = readFields(readFields(body?.subarray(5))[0]?.[1]).filter(([at]) => at === 2);
    const fields = new Map(readFields(readFields(resourceSpans?.[1])[0]?.[1]));
    expect(fields.get(1)?.toString("hex")).toBe(traceId);
    expect(fields.get(2)?.toString("hex")).toBe(span?.spanId);
    expect(fields.get(4)?.toString("hex")).toBe(spanId);
    expect(fields.get(5)?.toString()).toBe("a.example:80");
    expect(fields.get(7)?.readBigUInt64LE()).toBe(1_000_000_000_000n);
    expect(body?.toString()).toContain("service.name");
  });
});

describe("collectors and configurations that fail", () => {
  it("drops spans that the collector does not take", async () => {
    const rig = createRig({ grpcStatus: "14" });
    const tracer = createTracer(otlp, rig.env);
    for (let index = 0; index < 5; index++) tracer.start(createExchange())?.finish();
    await expect.poll(() => rig.stats.counters().get("tracing.opentelemetry.spans_dropped")).toBe(5);
    tracer.close();
    expect(rig.sent.length).toBe(1);
  });

  it.each<[HttpConnectionManager_Tracing, string]>([
    [
      { provider: { name: "x", typed_config: packAny("envoy.config.trace.v3.DatadogConfig", {}) } },
      "provider.typed_config: the tracer envoy.config.trace.v3.DatadogConfig is not supported",
    ],
    [
      {
        provider: {
          typed_config: packAny("envoy.config.trace.v3.ZipkinConfig", { collector_endpoint_version: "HTTP_JSON" }),
        },
      },
      "provider.typed_config.collector_cluster: is required",
    ],
    [{ custom_tags: [{ tag: "e", environment: { name: "HOME" } }] }, "custom_tags[0].environment: cannot be used here"],
  ])("refuses %j", (wire, problem) => {
    expect(() => createTracer(wire, createRig().env)).toThrow(problem);
  });
});

/** Fields of a protobuf message: number and bytes (numbers as their bytes). */
function readFields(bytes: Buffer = Buffer.alloc(0)): readonly (readonly [number, Buffer])[] {
  const fields: (readonly [number, Buffer])[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const start = (tag & 7) === 0 ? at : undefined;
    const length = { 0: 0, 1: 8, 2: 0 }[tag & 7] ?? 0;
    if (start !== undefined) {
      varint();
      fields.push([tag >> 3, bytes.subarray(start, at)]);
      continue;
    }
    const size = (tag & 7) === 2 ? varint() : length;
    fields.push([tag >> 3, bytes.subarray(at, at + size)]);
    at += size;
  }
  return fields;
}
