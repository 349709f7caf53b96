import { duration } from "@meltemi/protos";
import type { RouteAction } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { compileRouteTable } from "../router/compile-routes.ts";
import { testRouteEnv } from "../router/testing/test-exchange.ts";
import type { BodySink } from "./body.ts";
import type { Exchange, HttpHandler } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";
import { openSocket, readAll, startTestServer, type TestServer } from "./test-server.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

interface Rig {
  readonly server: TestServer;
  readonly clock: TestClock;
  /** Asks, and gives what is answered after so many milliseconds; "" where nothing is yet. */
  answerAfter(ms: number, head?: string): Promise<string>;
  readonly exchanges: Exchange[];
  readonly sinks: BodySink[];
}

/** Nothing is ever answered, but for a path "/begin": its answer is begun and its body is the test's to write. */
async function startRig(action: RouteAction, wire: HttpConnectionManager = {}): Promise<Rig> {
  const clock = new TestClock();
  const exchanges: Exchange[] = [];
  const sinks: BodySink[] = [];
  const handle: HttpHandler = (exchange) => {
    void exchange.route;
    exchanges.push(exchange);
    if (exchange.request.path !== "/begin") return new Promise(() => undefined);
    const body = { pipe: (sink: BodySink) => void sinks.push(sink), resume: () => undefined, cancel: () => undefined };
    return Promise.resolve({ status: 200, headers: new HeaderList(), body });
  };
  const routes = compileRouteTable(
    {
      validate_clusters: { value: false },
      virtual_hosts: [
        { name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "c", ...action } }] },
      ],
    },
    testRouteEnv(),
  );
  const server = await startTestServer({ wire, clock, handle, routes });
  servers.push(server);
  return {
    ...{ server, clock, exchanges, sinks },
    async answerAfter(ms, head = "") {
      let answer = "";
      void server.ask(`GET / HTTP/1.1\r\nhost: a\r\n${head}\r\n`, "\r\n\r\n").then(({ text }) => {
        answer = text;
      });
      const before = server.seen.length;
      await expect.poll(() => server.seen.length).toBe(before + 1);
      clock.advance(ms);
      if (server.entries.length > 0) await expect.poll(() => answer).not.toBe("");
      return answer;
    },
  };
}

const ofStream = (ms: number): HttpConnectionManager => ({
  common_http_protocol_options: { max_stream_duration: duration(ms) },
});
const grpc = "content-type: application/grpc\r\n";
const header = { grpc_timeout_header_max: duration(200), grpc_timeout_header_offset: duration(50) };

describe("how long a stream may last", () => {
  // As a real Envoy 1.40 does it.
  it.each([
    ["of the route", { max_stream_duration: duration(300) }, {}, "", 300],
    ["of the connection manager", undefined, ofStream(300), "", 300],
    ["of the connection manager, the route saying nothing", {}, ofStream(300), "", 300],
    ["shorter by the route", { max_stream_duration: duration(100) }, ofStream(300), "", 100],
    ["longer by the route", { max_stream_duration: duration(600) }, ofStream(300), "", 600],
    ["unlimited by the route", { max_stream_duration: duration(0) }, ofStream(300), "", undefined],
    ["by the header", { grpc_timeout_header_max: duration(0) }, {}, "grpc-timeout: 100m\r\n", 100],
    ["by the header, with the offset", header, {}, "grpc-timeout: 150m\r\n", 100],
    ["by the header's maximum, with the offset", header, {}, "grpc-timeout: 1S\r\n", 150],
    ["not at all by the offset", header, {}, "grpc-timeout: 50m\r\n", 0],
    ["not by the header", { max_stream_duration: duration(300) }, {}, "grpc-timeout: 100m\r\n", 300],
    [
      "by a header that cannot be read",
      { ...header, max_stream_duration: duration(300) },
      {},
      "grpc-timeout: 1\r\n",
      300,
    ],
  ] as const)("is kept to the millisecond: %s", async (_, max_stream_duration, wire, head, expected) => {
    const rig = await startRig({ ...(max_stream_duration && { max_stream_duration }) }, wire);
    if (expected === undefined || expected > 0) expect(await rig.answerAfter((expected ?? 10_000) - 2, head)).toBe("");
    else void rig.answerAfter(0, head);
    if (expected === undefined) return;
    await expect.poll(() => rig.exchanges).toHaveLength(1);
    rig.clock.advance(2);
    await expect.poll(() => rig.server.entries).toHaveLength(1);
    const [{ info } = {}] = rig.server.entries;
    expect([info?.responseCode, info?.responseCodeDetails, [...(info?.responseFlags ?? [])]]).toEqual([
      ...[504, "max_duration_timeout", []],
    ]);
    expect(rig.server.stat("http.test.downstream_rq_max_duration_reached")).toBe(1);
  });

  it("is a deadline to gRPC", async () => {
    const rig = await startRig({ max_stream_duration: { max_stream_duration: duration(300) } });
    const text = await rig.answerAfter(300, grpc);
    expect(text).toContain("grpc-status: 4\r\ngrpc-message: downstream duration timeout\r\n");
  });

  it.each([
    [header, {}, "1S", "150m"],
    [{ max_stream_duration: duration(300) }, {}, undefined, "300m"],
    [{}, ofStream(400), "9S", "400m"],
    [{ max_stream_duration: duration(0) }, ofStream(400), "9S", undefined],
    [{ max_stream_duration: duration(0) }, {}, "9S", "9S"],
    [undefined, ofStream(400), "9S", "9S"],
  ])("is told to gRPC's upstream: by %j and %j, %s becomes %s", async (max_stream_duration, wire, asked, told) => {
    const rig = await startRig({ ...(max_stream_duration && { max_stream_duration }) }, wire);
    await rig.answerAfter(0, asked === undefined ? grpc : `${grpc}grpc-timeout: ${asked}\r\n`);
    expect(rig.exchanges[0]?.request.headers.get("grpc-timeout")).toBe(told);
  });

  it("costs no timer where there is no limit, and none is left of a stream that is over", async () => {
    const without = await startRig({});
    await without.answerAfter(0);
    const with_ = await startRig({ max_stream_duration: { max_stream_duration: duration(300) } });
    await with_.answerAfter(0);
    expect(with_.clock.running - without.clock.running).toBe(1);
    with_.clock.advance(300);
    expect(with_.clock.running).toBe(without.clock.running);
  });
});

describe("how long a stream may stand still", () => {
  it("is kept to a tenth for short limits of routes", async () => {
    const rig = await startRig({ idle_timeout: duration(300) });
    expect(await rig.answerAfter(290)).toBe("");
    rig.clock.advance(10);
    await expect.poll(() => rig.server.entries).toHaveLength(1);
    expect([...(rig.server.entries[0]?.info.responseFlags ?? [])]).toEqual(["SI"]);
    expect(rig.server.stat("http.test.downstream_rq_idle_timeout")).toBe(1);
  });

  it("begins anew with bytes of the answer, which it breaks off", async () => {
    const rig = await startRig({ idle_timeout: duration(300) });
    const socket = await openSocket(rig.server.port);
    const ended = readAll(socket);
    socket.write("GET /begin HTTP/1.1\r\nhost: a\r\n\r\n");
    await expect.poll(() => rig.sinks).toHaveLength(1);
    rig.clock.advance(200);
    rig.sinks[0]?.write(Buffer.from("some"));
    rig.clock.advance(299);
    expect(rig.server.entries).toEqual([]);
    rig.clock.advance(31);
    expect((await ended).isClosed).toBe(true);
    const [{ info } = {}] = rig.server.entries;
    expect([info?.responseCodeDetails, [...(info?.responseFlags ?? [])]]).toEqual(["stream_idle_timeout", ["SI"]]);
  });

  it("leaves long limits to the look at all streams", async () => {
    const rig = await startRig({ idle_timeout: duration(20_000) });
    const without = await startRig({});
    expect(await rig.answerAfter(19_000)).toBe("");
    await without.answerAfter(19_000);
    expect(rig.clock.running).toBe(without.clock.running);
    rig.clock.advance(2_000);
    await expect.poll(() => rig.server.entries).toHaveLength(1);
  });
});
