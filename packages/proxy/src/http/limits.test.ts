import { connect } from "node:http2";
import { duration, struct } from "@meltemi/protos";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { bodyOf } from "./body.ts";
import { type HttpHandler, type LocalReply, LocalReplyError } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";
import { openSocket, readAll, startTestServer, type TestServer, textResponse } from "./test-server.ts";

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

interface Rig {
  readonly server: TestServer;
  advance(ms: number): void;
}

async function start(wire: HttpConnectionManager, handle?: HttpHandler): Promise<Rig> {
  const time = new TestClock();
  const server = await startTestServer({ wire, clock: time, ...(handle && { handle }) });
  servers.push(server);
  return { server, advance: (ms) => time.advance(ms) };
}

const never: HttpHandler = () => new Promise(() => undefined);
const whole = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const part = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab";

describe("time limits of requests", () => {
  it.each([
    [
      "a stream that stands still, request complete",
      { stream_idle_timeout: duration(2_000) },
      whole,
      504,
      "stream timeout",
      "rq_idle_timeout",
    ],
    [
      "a stream that stands still, request not complete",
      { stream_idle_timeout: duration(2_000) },
      part,
      408,
      "stream timeout",
      "rq_idle_timeout",
    ],
    [
      "a request that does not come whole",
      { request_timeout: duration(2_000) },
      part,
      408,
      "request timeout",
      "rq_timeout",
    ],
    [
      "a stream that lasts too long",
      { common_http_protocol_options: { max_stream_duration: duration(2_000) } },
      whole,
      504,
      "downstream duration timeout",
      "rq_max_duration_reached",
    ],
  ] as readonly (readonly [string, HttpConnectionManager, string, number, string, string])[])(
    "ends %s",
    async (_, wire, bytes, status, text, statistic) => {
      const { server, advance } = await start(wire, never);
      const answer = server.ask(bytes, text);
      await expect.poll(() => server.seen.length).toBe(1);
      advance(1_700);
      expect(server.entries).toEqual([]);
      advance(600);
      expect((await answer).text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(server.stat(`http.test.downstream_${statistic}`)).toBe(1);
    },
  );

  it("resets a stream whose answer has begun", async () => {
    const { server, advance } = await start({ stream_idle_timeout: duration(2_000) }, async () => ({
      status: 200,
      headers: new HeaderList(),
      body: { pipe: (sink) => void sink.write(Buffer.from("begun")), resume: () => undefined, cancel: () => undefined },
    }));
    const socket = await openSocket(server.port);
    const begun = readAll(socket, "begun");
    socket.write(whole);
    await begun;
    const ended = readAll(socket);
    // The bytes of the answer are seen once, and then no more.
    advance(5_000);
    expect((await ended).isClosed).toBe(true);
    expect(server.entries[0]?.info.responseFlags.has("SI")).toBe(true);
  });

  it("refuses a head that is late", async () => {
    const { server, advance } = await start({ request_headers_timeout: duration(1_000) });
    const answer = server.ask("GET / HTTP/1.1\r\nhost");
    await expect
      .poll(() => server.connections[0]?.stream instanceof Object && server.stat("http.test.downstream_cx_http1_total"))
      .toBe(1);
    advance(1_200);
    expect((await answer).text).toMatch(/^HTTP\/1\.1 408 Request Timeout[\s\S]*request header timeout$/);
    expect(server.stat("http.test.downstream_rq_header_timeout")).toBe(1);
  });
});

describe("the end of connections", () => {
  it("ends those that are idle", async () => {
    const { server, advance } = await start({ common_http_protocol_options: { idle_timeout: duration(10_000) } });
    const socket = await openSocket(server.port);
    const answered = readAll(socket, "ok");
    socket.write(whole);
    await answered;
    const ended = readAll(socket);
    advance(9_000);
    expect(server.stat("http.test.downstream_cx_idle_timeout")).toBe(0);
    advance(2_000);
    expect((await ended).isClosed).toBe(true);
    socket.destroy();
    expect(server.stat("http.test.downstream_cx_idle_timeout")).toBe(1);
  });

  it("tells clients with the next answer when the listener drains", async () => {
    const { server } = await start({});
    const socket = await openSocket(server.port);
    const first = readAll(socket, "ok");
    socket.write(whole);
    expect((await first).text).not.toContain("connection: close");
    server.connections[0]?.startDrain();
    const second = readAll(socket);
    socket.write(whole);
    expect((await second).text).toContain("connection: close");
    socket.destroy();
    expect(server.stat("http.test.downstream_cx_drain_close")).toBe(1);
  });

  it("ends after so many requests", async () => {
    const { server } = await start({ common_http_protocol_options: { max_requests_per_connection: { value: 2 } } });
    const { text } = await server.ask(whole + whole + whole);
    expect(text.match(/200 OK/g)).toHaveLength(2);
    expect(text.match(/connection: close/g)).toHaveLength(1);
    expect(server.stat("http.test.downstream_cx_max_requests_reached")).toBe(1);
  });

  it("ends an HTTP/2 connection that lasts too long, after a warning", async () => {
    const { server, advance } = await start({
      common_http_protocol_options: { max_connection_duration: duration(10_000) },
    });
    const session = connect(`http://127.0.0.1:${server.port}`);
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const warned = new Promise((resolve) => session.once("goaway", resolve));
    const closed = new Promise((resolve) => session.once("close", resolve));
    advance(10_600);
    await warned;
    advance(6_000);
    await closed;
    expect(server.stat("http.test.downstream_cx_max_duration_reached")).toBe(1);
  });
});

const fail =
  (reply: LocalReply): HttpHandler =>
  () =>
    Promise.reject(new LocalReplyError(reply));

describe("local replies", () => {
  const denied: LocalReply = { status: 403, body: "RBAC: access denied", details: "rbac denied", flags: ["UAEX"] };

  it("say what a filter says", async () => {
    const { server } = await start({}, fail(denied));
    const { text } = await server.ask(whole, "denied");
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\ncontent-length: 19\r\ncontent-type: text\/plain\r\n/);
    expect(server.entries[0]?.info.responseCodeDetails).toBe("rbac_denied");
    expect(server.entries[0]?.localReplyBody).toBeUndefined();
  });

  it("are trailers only for gRPC", async () => {
    const { server } = await start({}, fail(denied));
    const { text } = await server.ask(
      "GET / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc+json\r\n\r\n",
      "\r\n\r\n",
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toContain("grpc-status: 7\r\ngrpc-message: RBAC: access denied\r\n");
    expect(text).toContain("content-length: 0\r\n");
  });

  it("are mapped by status, with body, format and headers of their own", async () => {
    const wire: HttpConnectionManager = {
      local_reply_config: {
        mappers: [
          {
            filter: {
              status_code_filter: { comparison: { op: "EQ", value: { default_value: 403, runtime_key: "none" } } },
            },
            status_code: { value: 401 },
            body: { inline_string: "mapped" },
            headers_to_add: [{ header: { key: "x-mapped", value: "from %RESPONSE_CODE%" } }],
          },
        ],
        body_format: { json_format: struct({ said: "%LOCAL_REPLY_BODY%", code: "%RESPONSE_CODE%" }) },
      },
    };
    const { server } = await start(wire, fail(denied));
    const { text } = await server.ask(whole, "}");
    expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
    expect(text).toContain("content-type: application/json\r\n");
    expect(text).toContain("x-mapped: from 403\r\n");
    expect(JSON.parse(text.slice(text.indexOf("{")))).toEqual({ said: "mapped", code: 401 });
  });

  // As a real Envoy 1.40 answers.
  it.each([
    ["[%LOCAL_REPLY_BODY%]", "hello", 0, "text/x"],
    ["%LOCAL_REPLY_BODY%", "hello", 0, "text/html"],
    ["[%LOCAL_REPLY_BODY%]", "hello", 403, "text/mapped"],
    ["%LOCAL_REPLY_BODY%", "", 0, undefined],
  ])("in the form %j, a body %j of a type of its own, mapped where it is %d, has the type %j", async (...row) => {
    const [format, body, mapped, expected] = row;
    const header = { key: "content-type", value: "text/mapped" };
    const comparison = { op: "EQ", value: { default_value: mapped, runtime_key: "none" } } as const;
    const wire: HttpConnectionManager = {
      local_reply_config: {
        mappers: [
          {
            filter: { status_code_filter: { comparison } },
            headers_to_add: [{ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
          },
        ],
        body_format: { text_format_source: { inline_string: format }, content_type: "text/x" },
      },
    };
    const reply = { ...denied, body, headers: new HeaderList(["content-type", "text/html"]) };
    const { server } = await start(wire, fail(reply));
    const { text } = await server.ask(whole, body === "" ? "\r\n\r\n" : "hello");
    expect(/content-type: (.*)\r\n/.exec(text)?.[1]).toBe(expected);
  });

  it("hide what is defective", async () => {
    const { server } = await start({}, () => {
      throw new Error("a secret");
    });
    const { text } = await server.ask(whole, "\r\n\r\n");
    expect(text).toMatch(/^HTTP\/1\.1 500 Internal Server Error\r\n/);
    expect(text).not.toContain("secret");
  });
});

describe("what is added to answers", () => {
  it.each([
    ["OVERWRITE", "server: mine"],
    ["APPEND_IF_ABSENT", "server: theirs"],
    ["PASS_THROUGH", "server: theirs"],
  ] as const)("%s", async (transformation, expected) => {
    const wire: HttpConnectionManager = { server_name: "mine", server_header_transformation: transformation, via: "v" };
    const { server } = await start({ ...wire, always_set_request_id_in_response: true }, async () => ({
      status: 200,
      headers: new HeaderList(["server", "theirs", "date", "today", "connection", "x", "via", "u", "keep-alive", "1"]),
      body: bodyOf(Buffer.from("ok")),
    }));
    const { text } = await server.ask("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: q\r\n\r\n", "ok");
    expect(text).toContain(`${expected}\r\n`);
    expect(text).toContain("date: today\r\n");
    expect(text).toContain("via: u, v\r\n");
    expect(text).toContain("x-request-id: q\r\n");
    expect(text).not.toMatch(/connection:|keep-alive/);
  });

  it("counts answers by class", async () => {
    const { server } = await start({}, async ({ request }) => textResponse(Number(request.path.slice(1)), "x"));
    for (const status of [200, 301, 404, 500]) await server.ask(`GET /${status} HTTP/1.1\r\nhost: a\r\n\r\n`, "x");
    const counts = ["2xx", "3xx", "4xx", "5xx", "completed"].map((name) =>
      server.stat(`http.test.downstream_rq_${name}`),
    );
    expect(counts).toEqual([1, 1, 1, 1, 4]);
    expect(server.stat("listener.127.0.0.1_80.http.test.downstream_rq_5xx")).toBe(1);
  });
});
