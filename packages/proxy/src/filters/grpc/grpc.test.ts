import { describe, expect, it } from "vitest";
import { createTestCluster } from "../test-cluster.ts";
import { createTestChain } from "../test-exchange.ts";
import { createFrameCounter } from "./count-frames.ts";
import { grpcHttp1BridgeFactory } from "./grpc-http1-bridge.ts";
import { grpcStatsFactory } from "./grpc-stats.ts";
import { grpcWebFactory } from "./grpc-web.ts";

function frame(text: string, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

const messages = Buffer.concat([frame("one"), frame(""), frame("three")]);

describe("createFrameCounter", () => {
  it.each([1, 2, 3, 7, 100])("counts messages in pieces of %s bytes", (size) => {
    let count = 0;
    const add = createFrameCounter(() => {
      count += 1;
    });
    for (let at = 0; at < messages.length; at += size) add(messages.subarray(at, at + size));
    expect(count).toBe(3);
  });
});

describe("grpcStatsFactory", () => {
  const clusters = createTestCluster("upstream", () => "never");
  const stats = clusters.find("upstream")?.stats;
  const count = (name: string): number | undefined => stats?.counter(name).value;
  const request = { path: "/pkg.Svc/Do", headers: { "content-type": "application/grpc" }, body: messages };

  it("counts calls and messages of a cluster", async () => {
    const chain = createTestChain(grpcStatsFactory, { filter: { emit_filter_state: true }, clusters });
    const outcome = await chain.ask(request, { body: frame("x"), trailers: { "grpc-status": "0" } });
    expect([count("grpc.0"), count("grpc.success"), count("grpc.total")]).toEqual([1, 1, 1]);
    expect([count("grpc.request_message_count"), count("grpc.response_message_count")]).toEqual([3, 1]);
    const state = outcome.info.filterState.get("envoy.filters.http.grpc_stats")?.text;
    expect(JSON.parse(state ?? "")).toEqual({ request_message_count: 3, response_message_count: 1 });
  });

  it.each([
    [{ stats_for_all_methods: { value: true } }, "grpc.pkg.Svc.Do.7"],
    [{ stats_for_all_methods: { value: true }, replace_dots_in_grpc_service_name: true }, "grpc.pkg_Svc.Do.7"],
    [
      { individual_method_stats_allowlist: { services: [{ name: "pkg.Svc", method_names: ["Do"] }] } },
      "grpc.pkg.Svc.Do.7",
    ],
    [{ individual_method_stats_allowlist: { services: [{ name: "pkg.Svc", method_names: ["Other"] }] } }, "grpc.7"],
  ])("tells methods apart as %j says", async (filter, name) => {
    const before = count(name) ?? 0;
    await createTestChain(grpcStatsFactory, { filter, clusters }).ask(request, { headers: { "grpc-status": "7" } });
    expect(count(name)).toBe(before + 1);
  });

  it("leaves what is no gRPC", async () => {
    const before = count("grpc.total");
    await createTestChain(grpcStatsFactory, { filter: {}, clusters }).ask({}, { headers: { "grpc-status": "0" } });
    expect(count("grpc.total")).toBe(before);
  });
});

describe("grpcWebFactory", () => {
  const chain = createTestChain(grpcWebFactory, { filter: {} });
  const trailers = { "grpc-status": "0", "grpc-message": "ok" };
  const trailerFrame = frame("grpc-status:0\r\ngrpc-message:ok\r\n", 0x80);

  it("speaks gRPC to servers, and puts trailers into the body", async () => {
    const request = { headers: { "content-type": "application/grpc-web+proto" }, body: frame("ask") };
    const outcome = await chain.ask(request, {
      headers: { "content-type": "application/grpc" },
      body: frame("answer"),
      trailers,
    });
    expect(outcome.forwarded).toMatchObject({
      body: frame("ask").toString(),
      headers: { "content-type": "application/grpc", te: "trailers" },
    });
    expect(outcome.headers["content-type"]).toBe("application/grpc-web+proto");
    expect(outcome.bytes).toEqual(Buffer.concat([frame("answer"), trailerFrame]));
    expect(outcome.trailers).toBeUndefined();
  });

  it("reads and writes text, in pieces that are padded", async () => {
    const type = "application/grpc-web-text";
    const body = frame("ask").toString("base64") + Buffer.from("more").toString("base64");
    const request = { headers: { "content-type": type, accept: type }, body };
    const outcome = await chain.ask(request, {
      headers: { "content-type": "application/grpc" },
      body: frame("answer"),
      trailers,
    });
    expect(outcome.forwarded?.body).toBe(`${frame("ask").toString()}more`);
    expect(outcome.headers["content-type"]).toBe("application/grpc-web-text+proto");
    expect(Buffer.from(outcome.body, "base64")).toEqual(Buffer.concat([frame("answer"), trailerFrame]));
  });

  it("tells what is no gRPC in the message of a failure, as a real Envoy 1.40 does", async () => {
    const request = { headers: { "content-type": "application/grpc-web+proto" }, body: frame("ask") };
    const outcome = await chain.ask(request, {
      status: 503,
      headers: { "content-type": "text/plain" },
      body: "no\n100%",
    });
    expect(outcome).toMatchObject({ status: 200, body: "" });
    expect(outcome.headers).toMatchObject({
      "grpc-status": "14",
      "grpc-message": "no%0A100%25",
      "content-length": "0",
    });
  });

  it("leaves other requests", async () => {
    const outcome = await chain.ask({ headers: { "content-type": "application/json" } }, { body: "", trailers });
    expect(outcome.trailers).toEqual(trailers);
  });
});

describe("grpcHttp1BridgeFactory", () => {
  const chain = createTestChain(grpcHttp1BridgeFactory, { filter: {} });
  const headers = { "content-type": "application/grpc" };
  it.each([
    ["HTTP/1.1", "0", 200],
    ["HTTP/1.1", "5", 503],
    ["HTTP/2", "5", 200],
  ] as const)("over %s with status %s: %s", async (protocol, grpcStatus, status) => {
    const trailers = { "grpc-status": grpcStatus, "grpc-message": "m" };
    const outcome = await chain.ask({ protocol, headers }, { body: frame("a"), trailers });
    expect(outcome.status).toBe(status);
    if (protocol === "HTTP/2") expect(outcome.trailers).toEqual(trailers);
    else expect(outcome.headers).toEqual({ ...trailers, "content-length": "6" });
  });
});
