import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as openRequest } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { bodyOf, collect } from "./body.ts";
import { HeaderList } from "./header-list.ts";
import {
  openSocket,
  readAll,
  sayOk,
  startTestServer,
  type TestServer,
  type TestServerOptions,
  textResponse,
} from "./test-server.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function start(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await startTestServer(options);
  servers.push(server);
  return server;
}

const echo: NonNullable<TestServerOptions["handle"]> = async ({ request }) => {
  const { bytes, trailers } = request.body
    ? await collect(request.body, 1e7)
    : { bytes: Buffer.alloc(0), trailers: undefined };
  const headers = new HeaderList(["x-length", String(bytes.length)]);
  for (const [name, value] of trailers ?? []) headers.append(`x-trailer-${name}`, value);
  return { status: 200, headers, body: bodyOf(bytes) };
};

describe("answers", () => {
  it("says what Envoy says, with date and server", async () => {
    const server = await start();
    const { text } = await server.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "ok");
    expect(text).toMatch(
      /^HTTP\/1\.1 200 OK\r\ncontent-length: 2\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nserver: envoy\r\n\r\nok$/,
    );
    expect(server.seen).toEqual(["GET a /a"]);
    expect(server.stat("http.test.downstream_rq_2xx")).toBe(1);
    expect(server.stat("http.test.downstream_rq_http1_total")).toBe(1);
  });

  it("answers pipelined requests in order, also where later answers are ready earlier", async () => {
    const server = await start({
      async handle({ request }) {
        if (request.path === "/1") await new Promise((resolve) => setImmediate(resolve));
        return textResponse(200, `<${request.path}>`);
      },
    });
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const { text } = await server.ask(one("/1") + one("/2") + one("/3"), "</3>");
    expect(text.match(/<\/\d>/g)).toEqual(["</1>", "</2>", "</3>"]);
  });

  it("reads a request byte by byte", async () => {
    const server = await start({ handle: echo, wire: { http_protocol_options: { enable_trailers: true } } });
    const request =
      "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n";
    const { text } = await server.ask([...request, ...request], /abc[\s\S]*abc/);
    expect(text.match(/x-length: 3/g)).toHaveLength(2);
    expect(text).toContain("x-trailer-t: 1");
    expect(server.seen).toHaveLength(2);
  });

  it("says of HEAD how the answer to GET would end, and passes no 1xx on unless it is told to", async () => {
    for (const proxies100 of [false, true]) {
      const server = await start({
        wire: { proxy_100_continue: proxies100 },
        handle: async (exchange) => {
          exchange.inform(103, new HeaderList(["link", "x"]));
          return { status: 200, headers: new HeaderList(), body: undefined };
        },
      });
      const { text } = await server.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", /200[\s\S]*\r\n\r\n$/);
      expect(text).toMatch(/\r\ntransfer-encoding: chunked\r\n\r\n$/);
      expect(text.startsWith("HTTP/1.1 103 ")).toBe(proxies100);
    }
  });

  it.each([
    ["HEAD has no body", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", /content-length: 2[\s\S]*\r\n\r\n$/],
    ["an absolute target wins over Host", "GET http://b:81/x HTTP/1.1\r\nhost: a\r\n\r\n", /200 OK/],
    ["empty lines before a request are passed over", "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", /200 OK/],
  ])("%s", async (_, request, expected) => {
    const server = await start();
    expect((await server.ask(request, /\r\n\r\n/)).text).toMatch(expected);
  });

  it("closes after Connection: close, and keeps HTTP/1.0 open only on demand", async () => {
    const server = await start({
      wire: { http_protocol_options: { accept_http_10: true, default_host_for_http_10: "d" } },
    });
    const closed = await server.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    expect(closed.text).toContain("connection: close\r\n");
    await expect.poll(() => server.stat("http.test.downstream_cx_destroy_local")).toBe(1);
    const proxied = await server.ask("GET / HTTP/1.1\r\nhost: a\r\nproxy-connection: Close\r\n\r\n");
    expect(proxied.text).toContain("connection: close\r\n");
    const old = await server.ask("GET /old HTTP/1.0\r\n\r\n");
    expect(old.text).toMatch(/^HTTP\/1\.0 200 OK\r\n/);
    expect(server.seen.at(-1)).toBe("GET d /old");
    const kept = await server.ask("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n", "ok");
    expect(kept.text).toContain("connection: keep-alive\r\n");
    expect(kept.isClosed).toBe(false);
  });
});

describe("bodies", () => {
  it("streams answers of unknown length in chunks, and to HTTP/1.0 until the end", async () => {
    const server = await start({
      wire: { http_protocol_options: { accept_http_10: true, enable_trailers: true } },
      handle: async () => ({
        status: 200,
        headers: new HeaderList(),
        body: { ...bodyOf(Buffer.from("abc"), new HeaderList(["t", "1"])), length: undefined },
      }),
    });
    const { text } = await server.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "0\r\nt: 1\r\n\r\n");
    expect(text).toMatch(/transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n$/);
    const old = await server.ask("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
    expect(old.text).toMatch(/connection: close\r\n\r\nabc$/);
  });

  it("tells the client to continue", async () => {
    const server = await start({ handle: echo });
    const socket = await openSocket(server.port);
    const first = readAll(socket, "\r\n\r\n");
    socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    expect((await first).text).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    const second = readAll(socket, "abc");
    socket.write("abc");
    expect((await second).text).toContain("x-length: 3");
    socket.destroy();
  });

  it.each([
    ["100-Continue", [undefined]],
    ["100-continue\r\nexpect: 100-continue", ["100-continue,100-continue"]],
    ["other", ["other"]],
  ])("passes on what it does not meet: Expect: %s", async (value, expected) => {
    const seen: (string | undefined)[] = [];
    const server = await start({
      handle: async (exchange) => {
        seen.push(exchange.request.headers.get("expect"));
        return sayOk(exchange);
      },
    });
    const { text } = await server.ask(`GET / HTTP/1.1\r\nhost: a\r\nexpect: ${value}\r\n\r\n`, "ok");
    expect(text.startsWith("HTTP/1.1 100 Continue\r\n\r\n")).toBe(expected[0] === undefined);
    expect(seen).toEqual(expected);
  });

  it("knows no upgrade of HTTP/1.0 that it would pass over", async () => {
    const server = await start({ wire: { http_protocol_options: { accept_http_10: true } } });
    const request = "GET / HTTP/1.0\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    expect((await server.ask(request)).text).toMatch(/^HTTP\/1\.0 403 /);
    expect(server.seen).toEqual([]);
  });

  it("keeps the spelling of names where that is wanted", async () => {
    const server = await start({
      wire: { http_protocol_options: { header_key_format: { proper_case_words: {} } } },
      handle: async () => ({ status: 200, headers: new HeaderList(["x-some-name", "1"]), body: undefined }),
    });
    const { text } = await server.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n\r\n");
    expect(text).toContain("X-Some-Name: 1\r\n");
  });

  it("answers before the request has come, and ends the connection then", async () => {
    const server = await start({ handle: async () => textResponse(200, "early") });
    const { text, isClosed } = await server.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab");
    expect(text).toMatch(/connection: close\r\n\r\nearly$/);
    expect(isClosed).toBe(true);
    expect(server.stat("http.test.downstream_rq_response_before_rq_complete")).toBe(1);
  });

  it("holds a client up that sends faster than the filters read", async () => {
    let resume: () => void = () => undefined;
    const received = new Promise<number>((resolve) => {
      void start({
        async handle({ request }) {
          let length = 0;
          return await new Promise((answer) => {
            request.body?.pipe({
              write(chunk) {
                length += chunk.length;
                setImmediate(() => request.body?.resume());
                resume = () => request.body?.resume();
                return false;
              },
              end() {
                resolve(length);
                answer(textResponse(200, "all"));
              },
              abort: () => resolve(-1),
            });
          });
        },
      }).then(async (server) => {
        const socket = await openSocket(server.port);
        socket.write(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n`);
        socket.write(Buffer.alloc(2_000_000));
      });
    });
    expect(await received).toBe(2_000_000);
    resume();
  });
});

describe("ends", () => {
  it("tells the filters when the client goes", async () => {
    let told: (cause: Error) => void = () => undefined;
    const gone = new Promise<Error>((resolve) => {
      told = resolve;
    });
    const server = await start({
      handle: (exchange) => {
        exchange.onAbort(told);
        return new Promise(() => undefined);
      },
    });
    const socket = await openSocket(server.port);
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await expect.poll(() => server.seen.length).toBe(1);
    socket.destroy();
    expect((await gone).message).toContain("closed");
    await expect.poll(() => server.entries.length).toBe(1);
    expect([...(server.entries[0]?.info.responseFlags ?? [])]).toEqual(["DC"]);
    expect(server.stat("http.test.downstream_rq_active")).toBe(0);
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
  });

  it("cuts the connection where an answer breaks off", async () => {
    const server = await start({
      handle: async () => ({
        status: 200,
        headers: new HeaderList(["content-length", "9"]),
        body: {
          pipe(sink) {
            sink.write(Buffer.from("ab"));
            sink.abort(new Error("broken"));
          },
          resume: () => undefined,
          cancel: () => undefined,
        },
      }),
    });
    const { text, isClosed } = await server.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(isClosed).toBe(true);
    expect(text).not.toContain("ok");
    expect(server.stat("http.test.downstream_rq_tx_reset")).toBe(1);
  });

  it.each(["content-length", "chunked"])("gives large bodies on as they came, framed by %s", async (framing) => {
    const server = await start({
      handle: async ({ request }) => ({ status: 200, headers: new HeaderList(), body: request.body }),
    });
    const sent = randomBytes(3 * 1024 * 1024);
    const chunks = framing === "chunked" ? [sent.subarray(0, 1_000_000), sent.subarray(1_000_000)] : [sent];
    const asked = openRequest({ port: server.port, method: "POST" });
    if (framing === "content-length") asked.setHeader("content-length", sent.length);
    for (const chunk of chunks) asked.write(chunk);
    asked.end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    expect(Buffer.concat(await answer.toArray()).equals(sent)).toBe(true);
  });

  it("carries bytes both ways after an upgrade", async () => {
    const server = await start({
      wire: { upgrade_configs: [{ upgrade_type: "websocket" }] },
      handle: async ({ request }) => ({
        status: 101,
        headers: new HeaderList(["upgrade", "websocket"]),
        body: request.body,
      }),
    });
    const socket = await openSocket(server.port);
    const head = readAll(socket, "\r\n\r\n");
    socket.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n");
    expect((await head).text).toMatch(
      /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*connection: upgrade\r\nupgrade: websocket/,
    );
    const echoed = readAll(socket, "GET / HTTP/1.1");
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await echoed;
    expect(server.seen).toHaveLength(1);
    expect(server.stat("http.test.downstream_cx_upgrades_active")).toBe(1);
    socket.destroy();
    await expect.poll(() => server.stat("http.test.downstream_cx_upgrades_active")).toBe(0);
  });

  it("refuses an upgrade that is not configured, and reads nothing after it", async () => {
    const server = await start();
    const { text, isClosed } = await server.ask(
      "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*connection: close/);
    expect(isClosed).toBe(true);
    expect(server.seen).toEqual([]);
  });
});
