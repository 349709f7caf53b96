import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import { expect, it } from "vitest";
import {
  answerWith,
  closeAfterTest,
  createHost,
  createRequest,
  listen,
  openPoolRig,
  type PoolRig,
  readText,
  type TestServer,
  until,
} from "../../../test/support/pool-rig.ts";
import { bodyOf, collect } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { UpstreamError } from "../types.ts";

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

async function serve(
  handle: Handler,
  options: ServerOptions = {},
): Promise<TestServer & { readonly http2: Http2Server }> {
  const http2 = createServer(options);
  http2.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    handle(stream, headers);
  });
  http2.on("session", (session) => session.on("error", () => undefined));
  const server = await listen(http2);
  closeAfterTest(server);
  return { ...server, http2 };
}

function rig(http2: object = {}, limits: Parameters<typeof openPoolRig>[1] = {}): PoolRig {
  return openPoolRig({ http2_protocol_options: http2 }, limits);
}

async function fail(promise: Promise<unknown>): Promise<UpstreamError> {
  const cause: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (cause instanceof UpstreamError) return cause;
  throw new Error(`no UpstreamError but ${String(cause)}`);
}

it("sends many requests over one connection, with what HTTP/2 allows of their headers", async () => {
  const seen: IncomingHttpHeaders[] = [];
  const server = await serve((stream, headers) => {
    seen.push(headers);
    stream.respond({ ":status": 200, "x-answer": "1", "set-cookie": ["a", "b"] });
    stream.end(`hello ${headers[":path"] ?? ""}`);
  });
  const { pools, stats } = rig();
  const host = createHost(server.port);
  const headers = new HeaderList(["connection", "x", "host", "evil", "te", "trailers", "x-a", "1", "x-a", "2"]);
  const answers = ["/1", "/2", "/3"].map(
    (path) => pools.send(host, createRequest({ path, headers }), "DEFAULT").response,
  );
  const bodies = [];
  for (const answer of answers) {
    const { status, headers: got, body, protocol } = await answer;
    expect([status, protocol, got.getAll("set-cookie")]).toEqual([200, "HTTP/2", ["a", "b"]]);
    bodies.push(await readText(body));
  }
  expect(bodies).toEqual(["hello /1", "hello /2", "hello /3"]);
  expect(seen[0]).toMatchObject({
    ":authority": "a.test",
    ":scheme": "http",
    ":path": "/1",
    te: "trailers",
    "x-a": "1, 2",
  });
  expect([seen[0]?.["connection"], seen[0]?.["host"]]).toEqual([undefined, undefined]);
  expect(stats.read("upstream_cx_http2_total")).toBe(1);
  await until(() => stats.read("upstream_rq_active") === 0);
});

it("passes bodies, trailers and information in both directions", async () => {
  const server = await serve((stream) => {
    stream.additionalHeaders({ ":status": 103, link: "</a>" });
    let received = "";
    let trailer: unknown;
    stream.on("data", (chunk: Buffer) => {
      received += chunk.toString();
    });
    stream.on("trailers", (trailers) => {
      trailer = trailers["x-up"];
    });
    stream.on("end", () => {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-t": "1", "x-got": String(trailer) }));
      stream.end(received);
    });
  });
  const { pools } = rig();
  const told: string[] = [];
  const request = createRequest({
    method: "POST",
    body: bodyOf(Buffer.from("abc"), new HeaderList(["x-up", "7"])),
    onInformation: (status, headers) => told.push(`${status} ${headers.get("link") ?? ""}`),
  });
  const { body } = await pools.send(createHost(server.port), request, "DEFAULT").response;
  if (body === undefined) throw new Error("no body");
  const { bytes, trailers } = await collect(body, 100);
  expect([Buffer.from(bytes).toString(), trailers?.raw, told]).toEqual([
    "abc",
    ["x-t", "1", "x-got", "7"],
    ["103 </a>"],
  ]);
});

it("opens another connection when one is full, and waits where it may not", async () => {
  const waiting: ServerHttp2Stream[] = [];
  const server = await serve((stream) => waiting.push(stream));
  const { pools, stats } = rig({ max_concurrent_streams: { value: 2 } });
  const host = createHost(server.port);
  const answers = [1, 2, 3].map(() => pools.send(host, createRequest(), "DEFAULT"));
  await until(() => waiting.length === 3);
  expect(stats.read("upstream_cx_total")).toBe(2);
  for (const stream of waiting) stream.respond({ ":status": 204 }, { endStream: true });
  for (const { response } of answers) expect((await response).status).toBe(204);
});

it("keeps to what the server allows at a time", async () => {
  const waiting: ServerHttp2Stream[] = [];
  const server = await serve((stream) => waiting.push(stream), { settings: { maxConcurrentStreams: 1 } });
  const { pools } = rig({}, { connections: 1 });
  const host = createHost(server.port);
  const first = pools.send(host, createRequest({ path: "/settings" }), "DEFAULT");
  await until(() => waiting.length === 1);
  const others = [1, 2].map(() => pools.send(host, createRequest(), "DEFAULT"));
  waiting[0]?.respond({ ":status": 204 }, { endStream: true });
  await first.response;
  for (const [index, { response }] of others.entries()) {
    await until(() => waiting.length === index + 2);
    waiting[index + 1]?.respond({ ":status": 204 }, { endStream: true });
    await response;
  }
});

it.each([
  ["refused-stream", constants.NGHTTP2_REFUSED_STREAM, false, 0],
  ["remote-reset", constants.NGHTTP2_INTERNAL_ERROR, true, 1],
  ["remote-reset", constants.NGHTTP2_CANCEL, true, 1],
] as const)("calls it %s when the server resets with %i", async (failure, code, isSent, counted) => {
  const server = await serve((stream) => stream.close(code));
  const { pools, stats } = rig();
  const error = await fail(pools.send(createHost(server.port), createRequest(), "DEFAULT").response);
  expect([error.failure, error.isSent]).toEqual([failure, isSent]);
  expect(stats.read("upstream_rq_rx_reset")).toBe(counted);
});

/** A frame of HTTP/2 (RFC 9113, section 4.1). */
function frame(type: number, stream: number, payload: readonly number[] = []): string {
  return Buffer.from([0, 0, payload.length, type, 0, 0, 0, 0, stream, ...payload]).toString("latin1");
}

const settings = frame(4, 0);

it.each([
  ["DATA on a stream that nobody began", settings + frame(0, 2, [1])],
  ["a PING on a stream", settings + frame(6, 1, [0, 0, 0, 0, 0, 0, 0, 0])],
  ["SETTINGS that are no pairs", settings + frame(4, 0, [1])],
  ["headers that cannot be read", settings + frame(1, 1, [0xff, 0xff, 0xff, 0xff])],
  ["a window that is too large", settings + frame(8, 0, [0x7f, 0xff, 0xff, 0xff])],
  ["another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
])("takes %s for a broken protocol, and ends the connection", async (_, answer) => {
  const server = await answerWith(answer);
  closeAfterTest(server);
  const { pools, stats } = rig();
  const error = await fail(pools.send(createHost(server.port), createRequest(), "DEFAULT").response);
  expect(error.failure).toBe("protocol-error");
  await until(() => stats.read("upstream_cx_active") === 0);
  const names = ["upstream_cx_protocol_error", "upstream_cx_destroy_local", "upstream_rq_tx_reset"];
  expect(names.map((name) => stats.read(name))).toEqual([1, 1, 1]);
});

it.each([
  ["at once", false],
  ["after it has said so", true],
])("counts a connection that the server ends %s as ended by it, and the request as lost", async (_, says) => {
  const server = await serve(({ session }) => {
    if (says) session?.destroy();
    else for (const socket of server.sockets) socket.destroy();
  });
  const { pools, stats } = rig();
  const error = await fail(pools.send(createHost(server.port), createRequest(), "DEFAULT").response);
  expect(error.failure).toBe("connection-termination");
  await until(() => stats.read("upstream_cx_active") === 0);
  const names = [
    "upstream_cx_destroy_remote_with_active_rq",
    "upstream_rq_pending_failure_eject",
    "upstream_rq_rx_reset",
  ];
  expect(names.map((name) => stats.read(name))).toEqual([1, 1, 0]);
});

it("breaks a body off that the server resets, and one whose connection ends", async () => {
  const server = await serve((stream, headers) => {
    stream.respond({ ":status": 200 });
    stream.write("part");
    setImmediate(() => {
      if (headers[":path"] === "/reset") stream.destroy(new Error("broken"));
      else for (const socket of server.sockets) socket.destroy();
    });
  });
  const { pools } = rig();
  const host = createHost(server.port);
  const reset = await pools.send(host, createRequest({ path: "/reset" }), "DEFAULT").response;
  expect((await fail(readText(reset.body))).failure).toBe("remote-reset");
  const ended = await pools.send(host, createRequest({ path: "/end" }), "DEFAULT").response;
  expect((await fail(readText(ended.body))).failure).toBe("connection-termination");
});

it("moves to a new connection when the server says that it goes away", async () => {
  const streams: ServerHttp2Stream[] = [];
  const server = await serve((stream) => streams.push(stream));
  const { pools, stats } = rig();
  const host = createHost(server.port);
  const first = pools.send(host, createRequest(), "DEFAULT");
  await until(() => streams.length === 1);
  streams[0]?.session?.goaway();
  await until(() => stats.read("upstream_cx_close_notify") === 1);
  const second = pools.send(host, createRequest(), "DEFAULT");
  await until(() => streams.length === 2);
  for (const stream of streams) {
    stream.respond({ ":status": 200 });
    stream.end("x");
  }
  expect([await readText((await first.response).body), await readText((await second.response).body)]).toEqual([
    "x",
    "x",
  ]);
  expect(stats.read("upstream_cx_total")).toBe(2);
  await until(() => stats.read("upstream_cx_active") === 1);
});

it("ends a request that takes too long, answered or not", async () => {
  const server = await serve((stream, headers) => {
    if (headers[":path"] !== "/begin") return;
    stream.respond({ ":status": 200 });
    stream.write("x");
  });
  const { pools, stats, clock } = openPoolRig({
    http2_protocol_options: {},
    common_http_protocol_options: { max_stream_duration: { seconds: 2 } },
  });
  const host = createHost(server.port);
  const begun = await pools.send(host, createRequest({ path: "/begin" }), "DEFAULT").response;
  const silent = pools.send(host, createRequest(), "DEFAULT").response;
  await until(() => stats.read("upstream_rq_active") === 2);
  clock.advance(2000);
  expect([(await fail(silent)).failure, (await fail(readText(begun.body))).failure]).toEqual([
    "max-duration",
    "max-duration",
  ]);
  expect([stats.read("upstream_rq_max_duration_reached"), stats.read("upstream_rq_active")]).toEqual([2, 0]);
});

it("cancels a stream alone, and frees its place", async () => {
  const codes: (number | undefined)[] = [];
  const server = await serve((stream, headers) => {
    if (headers[":path"] === "/wait") stream.on("close", () => codes.push(stream.rstCode));
    else stream.respond({ ":status": 204 }, { endStream: true });
  });
  const { pools, stats } = rig();
  const host = createHost(server.port);
  await pools.send(host, createRequest(), "DEFAULT").response;
  const pending = pools.send(host, createRequest({ path: "/wait" }), "DEFAULT");
  pending.cancel();
  expect((await fail(pending.response)).failure).toBe("local-reset");
  await pools.send(host, createRequest(), "DEFAULT").response;
  await until(() => stats.read("upstream_rq_active") === 0);
  expect(stats.read("upstream_cx_total")).toBe(1);
  expect(codes.every((code) => code === constants.NGHTTP2_CANCEL)).toBe(true);
});

it("carries WebSockets and tunnels as CONNECT", async () => {
  const seen: unknown[] = [];
  const server = await serve(
    (stream, headers) => {
      seen.push([headers[":method"], headers[":protocol"], headers[":path"]]);
      stream.respond({ ":status": headers[":path"] === "/no" ? 403 : 200 });
      stream.on("data", (chunk: Buffer) => stream.write(`<${chunk.toString()}>`));
      stream.on("end", () => stream.end("bye"));
    },
    { settings: { enableConnectProtocol: true } },
  );
  const { pools } = rig();
  const host = createHost(server.port);
  const body = () => bodyOf(Buffer.from("ping"));
  const socket = await pools.send(host, createRequest({ path: "/ws", upgrade: "websocket", body: body() }), "DEFAULT")
    .response;
  expect([socket.status, socket.headers.get("upgrade"), await readText(socket.body)]).toEqual([
    101,
    "websocket",
    "<ping>bye",
  ]);
  const request = createRequest({ method: "CONNECT", path: "", upgrade: "connect", body: body() });
  const tunnel = await pools.send(host, request, "DEFAULT").response;
  expect([tunnel.status, await readText(tunnel.body)]).toEqual([200, "<ping>bye"]);
  expect(seen).toEqual([
    ["CONNECT", "websocket", "/ws"],
    ["CONNECT", undefined, undefined],
  ]);
});

it("holds a server up while nobody reads", async () => {
  const size = 8_000_000;
  const server = await serve((stream) => {
    stream.respond({ ":status": 200 });
    stream.end(Buffer.alloc(size));
  });
  const { pools, stats } = rig({ initial_stream_window_size: { value: 65_536 } });
  const { body } = await pools.send(createHost(server.port), createRequest(), "DEFAULT").response;
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    body?.pipe({
      write(chunk) {
        if (received === 0) {
          // Others come and go meanwhile; nothing more is read for this one.
          setImmediate(() => {
            expect(stats.read("upstream_cx_rx_bytes_total")).toBeLessThan(1_000_000);
            body.resume();
          });
        }
        const isFirst = received === 0;
        received += chunk.length;
        return !isFirst;
      },
      end: () => resolve(),
      abort: reject,
    });
  });
  expect(received).toBe(size);
});

it("asks after connections and ends those that do not answer", async () => {
  const server = await serve((stream) => stream.respond({ ":status": 204 }, { endStream: true }));
  const { pools, stats, clock } = rig({
    connection_keepalive: { interval: { seconds: 10 }, timeout: { seconds: 1 }, interval_jitter: { value: 0 } },
  });
  await pools.send(createHost(server.port), createRequest(), "DEFAULT").response;
  // The server's machine stops: nothing comes back any more.
  for (const socket of server.sockets) socket.pause();
  clock.advance(10_000);
  clock.advance(1_000);
  await until(() => stats.read("upstream_cx_active") === 0);
  expect(stats.read("upstream_cx_destroy_local")).toBe(1);
});
