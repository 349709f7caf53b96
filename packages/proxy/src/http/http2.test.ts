import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { afterEach, describe, expect, it } from "vitest";
import { bodyOf, collect } from "./body.ts";
import { HeaderList } from "./header-list.ts";
import {
  openSocket,
  readAll,
  startTestServer,
  type TestServer,
  type TestServerOptions,
  textResponse,
} from "./test-server.ts";

const servers: TestServer[] = [];
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  for (const server of servers.splice(0)) await server.close();
});

async function start(options: TestServerOptions = {}): Promise<{ server: TestServer; session: ClientHttp2Session }> {
  const server = await startTestServer(options);
  servers.push(server);
  const session = connect(`http://127.0.0.1:${server.port}`);
  session.on("error", () => undefined);
  sessions.push(session);
  await new Promise((resolve) => session.once("connect", resolve));
  return { server, session };
}

interface H2Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly trailers: Readonly<Record<string, unknown>> | undefined;
  readonly code: number;
}

function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer): Promise<H2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let answered: Readonly<Record<string, unknown>> = {};
    let trailers: Readonly<Record<string, unknown>> | undefined;
    let text = "";
    stream.on("response", (received) => {
      answered = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.on("error", () => undefined);
    stream.on("close", () => {
      const status = answered[":status"];
      const code = stream.rstCode ?? 0;
      resolve({ status: typeof status === "number" ? status : undefined, headers: answered, text, trailers, code });
    });
    if (body !== undefined) stream.end(body);
  });
}

const echo: NonNullable<TestServerOptions["handle"]> = async ({ request }) => {
  const { bytes, trailers } = request.body
    ? await collect(request.body, 1e7)
    : { bytes: Buffer.alloc(0), trailers: undefined };
  return { status: 200, headers: new HeaderList(["x-length", String(bytes.length)]), body: bodyOf(bytes, trailers) };
};

describe("HTTP/2", () => {
  it.each([
    [63_000, { code: constants.NGHTTP2_INTERNAL_ERROR }],
    [60_000, { status: 200 }],
  ])("holds a head to 60 KiB: %d bytes", async (bytes, expected) => {
    const { server, session } = await start();
    const parts = Array.from({ length: bytes / 1_000 }, (_, index) => [`x-${index}`, "a".repeat(996)]);
    expect(await ask(session, Object.fromEntries(parts))).toMatchObject(expected);
    expect((await ask(session, { ":path": "/next" })).status).toBe(200);
    expect(server.seen.at(-1)).toContain("/next");
  });

  it("passes on TE, and values with white space around them", async () => {
    const seen: string[] = [];
    const { session } = await start({
      handle: async ({ request }) => {
        seen.push(`${request.headers.get("te")} [${request.headers.get("x")}]`);
        return textResponse(200, "ok");
      },
    });
    await ask(session, { te: "trailers", x: " 1\t" });
    await ask(session, {});
    expect(seen).toEqual(["trailers [ 1\t]", "undefined [undefined]"]);
  });

  it("answers with prior knowledge", async () => {
    const { server, session } = await start();
    const answer = await ask(session, { ":path": "/a", ":authority": "b" });
    expect(answer).toMatchObject({ status: 200, text: "ok", code: 0 });
    expect(answer.headers["server"]).toBe("envoy");
    expect(server.seen).toEqual(["GET b /a"]);
    expect(server.stat("http.test.downstream_rq_http2_total")).toBe(1);
    expect(server.stat("http.test.downstream_cx_http2_active")).toBe(1);
    await expect.poll(() => server.stat("http.test.downstream_rq_active")).toBe(0);
    expect(server.entries[0]?.info.responseFlags.size).toBe(0);
  });

  it("carries bodies of any size both ways", async () => {
    const { session } = await start({ handle: echo });
    const body = "x".repeat(3_000_000);
    const answer = await ask(session, { ":method": "POST", ":path": "/" }, body);
    expect(answer.headers["x-length"]).toBe("3000000");
    expect(answer.text).toBe(body);
  });

  it("sends trailers after the body", async () => {
    const { server, session } = await start({
      handle: async () => ({
        status: 200,
        headers: new HeaderList(["content-type", "application/grpc"]),
        body: bodyOf(Buffer.from("abc"), new HeaderList(["grpc-status", "0", "grpc-message", "m"])),
      }),
    });
    const answer = await ask(session, { ":method": "POST", ":path": "/" }, "q");
    expect(answer.trailers).toMatchObject({ "grpc-status": "0", "grpc-message": "m" });
    await expect.poll(() => server.entries[0]?.responseTrailers?.get("grpc-status")).toBe("0");
  });

  it("joins crumbs of cookies, and takes Host where no authority is given", async () => {
    let cookie: string | undefined;
    const { session } = await start({
      handle: async ({ request }) => {
        cookie = request.headers.get("cookie");
        return textResponse(200, request.authority);
      },
    });
    const answer = await ask(session, { ":path": "/", cookie: ["a=1", "b=2"] });
    expect(cookie).toBe("a=1; b=2");
    expect(answer.text).toMatch(/^127\.0\.0\.1:/);
  });
});

describe("answers in HTTP/2", () => {
  it.each([
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ])("sends no body for %s and %d", async (method, status) => {
    const { session } = await start({ handle: async () => textResponse(status, "body") });
    const answer = await ask(session, { ":method": method, ":path": "/" });
    expect(answer).toMatchObject({ status, text: "", code: 0 });
  });

  it("sends headers that come twice, and survives what cannot be sent", async () => {
    const { session } = await start({
      handle: async ({ request }) => ({
        status: request.path === "/twice" ? 200 : 150,
        headers: new HeaderList(["x", "1", "x", "2", "set-cookie", "c", "set-cookie", "d"]),
        body: undefined,
      }),
    });
    const answer = await ask(session, { ":path": "/twice" });
    expect(answer.headers).toMatchObject({ x: "1, 2", "set-cookie": ["c", "d"] });
    expect((await ask(session, { ":path": "/150" })).code).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect((await ask(session, { ":path": "/twice" })).status).toBe(200);
  });

  it.each(["at once", "later"])("resets the stream where an answer cannot be sent whose body ends %s", async (when) => {
    const { session } = await start({
      handle: async ({ request }) => ({
        status: 200,
        headers: new HeaderList(request.path === "/bad" ? ["bad name", "1"] : []),
        body: {
          pipe(sink) {
            sink.write(Buffer.from("ab"));
            if (when === "at once") sink.end();
            else setImmediate(() => setImmediate(() => sink.end()));
          },
          resume: () => undefined,
          cancel: () => undefined,
        },
      }),
    });
    expect((await ask(session, { ":path": "/bad" })).code).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect(await ask(session, { ":path": "/good" })).toMatchObject({ status: 200, text: "ab" });
  });

  it("answers gRPC in its own form", async () => {
    const { session } = await start({
      handle: () => Promise.reject(new Error("a defect")),
    });
    const answer = await ask(session, { ":method": "POST", ":path": "/", "content-type": "application/grpc" }, "q");
    expect(answer.headers).toMatchObject({ ":status": 200, "grpc-status": "2", "content-type": "application/grpc" });
  });

  it("takes an extended CONNECT for an upgrade", async () => {
    const { server, session } = await start({
      wire: { upgrade_configs: [{ upgrade_type: "websocket" }], http2_protocol_options: { allow_connect: true } },
      handle: async ({ request }) => ({
        status: request.upgrade === "websocket" ? 101 : 500,
        headers: new HeaderList(["connection", "upgrade", "upgrade", "websocket"]),
        body: request.body,
      }),
    });
    if (!session.remoteSettings.enableConnectProtocol) {
      await new Promise((resolve) => session.once("remoteSettings", resolve));
    }
    const stream = session.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": "/chat" });
    const status = await new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
    expect(status).toBe(200);
    const echoed = new Promise((resolve) => stream.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    stream.write("hello");
    expect(await echoed).toBe("hello");
    expect(server.seen).toEqual([expect.stringMatching(/^GET .* \/chat$/)]);
    stream.close();
  });
});

describe("ends of HTTP/2 streams", () => {
  it("tells the filters of a reset", async () => {
    let tell: (cause: Error) => void = () => undefined;
    const told = new Promise<Error>((resolve) => {
      tell = resolve;
    });
    const { server, session } = await start({
      handle: (exchange) => {
        exchange.onAbort(tell);
        return new Promise(() => undefined);
      },
    });
    const stream = session.request({ ":path": "/" });
    stream.on("error", () => undefined);
    await expect.poll(() => server.seen.length).toBe(1);
    stream.close(constants.NGHTTP2_CANCEL);
    expect((await told).message).toContain("reset");
    await expect.poll(() => server.stat("http.test.downstream_rq_rx_reset")).toBe(1);
    const other = ask(session, { ":path": "/2" });
    await expect.poll(() => server.seen.length).toBe(2);
    session.destroy();
    await other;
  });

  it("resets the stream where an answer breaks off, and nothing else", async () => {
    const { session } = await start({
      handle: async ({ request }) =>
        request.path === "/ok"
          ? textResponse(200, "ok")
          : {
              status: 200,
              headers: new HeaderList(),
              body: {
                pipe(sink) {
                  sink.write(Buffer.from("ab"));
                  setImmediate(() => sink.abort(new Error("broken")));
                },
                resume: () => undefined,
                cancel: () => undefined,
              },
            },
    });
    const answer = await ask(session, { ":path": "/broken" });
    expect(answer.code).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect(await ask(session, { ":path": "/ok" })).toMatchObject({ status: 200, text: "ok" });
  });

  it("says goodbye when it drains, and answers what is under way", async () => {
    let answer: () => void = () => undefined;
    const { server, session } = await start({
      handle: () =>
        new Promise((resolve) => {
          answer = () => resolve(textResponse(200, "late"));
        }),
    });
    const goaway = new Promise((resolve) => session.on("goaway", (code) => resolve(code)));
    const asked = ask(session, { ":path": "/" });
    await expect.poll(() => server.seen.length).toBe(1);
    server.connections[0]?.startDrain();
    expect(await goaway).toBe(constants.NGHTTP2_NO_ERROR);
    answer();
    expect(await asked).toMatchObject({ status: 200, text: "late" });
  });

  it("ends the connection of a client that resets whatever it begins", async () => {
    const { server, session } = await start({ handle: () => new Promise(() => undefined) });
    const closed = new Promise((resolve) => session.on("close", resolve));
    for (let round = 1; round <= 30 && !session.destroyed; round += 1) {
      const streams = Array.from({ length: 30 }, () => session.request({ ":path": "/" }));
      for (const stream of streams) stream.on("error", () => undefined);
      await expect.poll(() => session.destroyed || server.seen.length >= round * 30).toBe(true);
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    expect(server.seen.length).toBeLessThan(900);
    expect(server.stat("http.test.downstream_rq_too_many_premature_resets")).toBe(1);
    await expect.poll(() => server.stat("http.test.downstream_rq_active")).toBe(0);
  });

  it.each([
    ["a bad preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"],
    ["a frame that is too long", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00\x00\x00\x00\x00"],
    [
      "DATA on no stream",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00a",
    ],
  ])("ends a connection with %s", async (_, bytes) => {
    const { server } = await start();
    const socket = await openSocket(server.port);
    const all = readAll(socket);
    socket.write(Buffer.from(bytes, "latin1"));
    expect((await all).isClosed).toBe(true);
    socket.destroy();
    expect(server.seen).toEqual([]);
  });
});
