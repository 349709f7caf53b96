import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import {
  answerWith,
  closeAfterTest,
  createHost,
  createRequest,
  listen,
  openPoolRig,
  readText,
  serveHttp,
  until,
} from "../../../test/support/pool-rig.ts";
import { type BodySink, type BodySource, bodyOf, collect } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { UpstreamError, type UpstreamRequest } from "../types.ts";

async function fail(promise: Promise<unknown>): Promise<UpstreamError> {
  const cause: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (cause instanceof UpstreamError) return cause;
  throw new Error(`no UpstreamError but ${String(cause)}`);
}

it("sends what it is given and keeps the connection", async () => {
  const seen: string[] = [];
  const server = await serveHttp((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.rawHeaders.join("|")}`);
    response.setHeader("X-Answer", "yes").end("hello");
  });
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  const headers = new HeaderList(["x-a", "1", "connection", "x-a", "host", "evil", "x-a", "2"]);
  for (let round = 0; round < 3; round++) {
    const {
      status,
      headers: got,
      body,
      protocol,
    } = await pools.send(host, createRequest({ path: "/p?q", headers }), "DEFAULT").response;
    expect([status, got.get("x-answer"), protocol, got.has("connection")]).toEqual([200, "yes", "HTTP/1.1", false]);
    expect(await readText(body)).toBe("hello");
  }
  expect(seen[0]).toBe("GET /p?q host|a.test|x-a|1|x-a|2");
  expect(stats.read("upstream_cx_total")).toBe(1);
  expect(stats.read("upstream_rq_total")).toBe(3);
  expect([stats.read("upstream_rq_active"), stats.read("upstream_rq_pending_active")]).toEqual([0, 0]);
  expect(pools.describeHost(host)).toMatchObject({
    cx_total: 1,
    cx_active: 1,
    rq_total: 3,
    rq_success: 3,
    rq_active: 0,
  });
});

it.each<[string, Partial<UpstreamRequest>, RegExp]>([
  ["no length for GET", {}, /^GET \/ HTTP\/1.1\r\nhost: a.test\r\n\r\n$/],
  ["a length of nothing for POST", { method: "POST" }, /\r\ncontent-length: 0\r\n\r\n$/],
  [
    "the length that is said",
    { method: "PUT", headers: new HeaderList(["content-length", "2"]), body: bodyOf(Buffer.from("ab")) },
    /\r\ncontent-length: 2\r\n\r\nab$/,
  ],
  [
    "chunks otherwise",
    { method: "PUT", body: bodyOf(Buffer.from("ab")) },
    /\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n$/,
  ],
  ["text beyond Latin-1 as UTF-8", { headers: new HeaderList(["x-a", "\u010a"]) }, /\r\nx-a: \xc4\x8a\r\n\r\n$/],
  [
    "CONNECT with its target",
    { method: "CONNECT", path: "", upgrade: "connect", authority: "b.test:443" },
    /^CONNECT b.test:443 HTTP\/1.1\r\nhost: b.test:443\r\n\r\n$/,
  ],
  ["an upgrade", { upgrade: "websocket" }, /\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n$/],
])("writes %s", async (_, change, expected) => {
  let received = "";
  const server = closeAfterTest(
    await listen(
      createServer((socket) => {
        socket.on("data", (chunk) => {
          received += chunk.toString("latin1");
        });
      }),
    ),
  );
  const { pools } = openPoolRig();
  const pending = pools.send(createHost(server.port), createRequest(change), "DEFAULT");
  await until(() => expected.test(received));
  expect(pending.traffic?.sent).toBe(received.length);
  pending.cancel();
  expect((await fail(pending.response)).failure).toBe("local-reset");
});

it("counts what an answer costs on the wire", async () => {
  const answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
  const server = closeAfterTest(
    await listen(
      createServer((socket) => socket.on("error", () => undefined).once("data", () => socket.write(answer))),
    ),
  );
  const { pools } = openPoolRig();
  const pending = pools.send(createHost(server.port), createRequest({}), "DEFAULT");
  expect(await readText((await pending.response).body)).toBe("ab");
  expect(pending.traffic?.received).toBe(answer.length);
});

it("refuses to write control characters", async () => {
  const server = await serveHttp((_, response) => response.end());
  const { pools } = openPoolRig();
  const headers = new HeaderList(["x-a", "1\r\nx-b: 2"]);
  const error = await fail(pools.send(createHost(server.port), createRequest({ headers }), "DEFAULT").response);
  expect(error.failure).toBe("protocol-error");
  expect((await pools.send(createHost(server.port), createRequest(), "DEFAULT").response).status).toBe(200);
});

it.each([
  ["no answer at all", "nonsense\r\n\r\n"],
  ["another version", "HTTP/2.0 200 OK\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["lines that end in LF", "HTTP/1.1 200 OK\nx: y\n\n"],
  ["a folded line", "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n"],
  ["a blank in a name", "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n"],
  ["a blank before the colon", "HTTP/1.1 200 OK\r\nx : z\r\n\r\n"],
  ["no name", "HTTP/1.1 200 OK\r\n: z\r\n\r\n"],
  ["a zero byte", "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n"],
  ["a lone CR", "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n"],
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na"],
  ["a length twice", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na"],
  ["a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na"],
  ["an encoding of nothing", "HTTP/1.1 200 OK\r\ntransfer-encoding: \r\n\r\na"],
  ["length and chunks", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["an unknown encoding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"],
  ["chunks twice", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"],
  ["chunks for 204", "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["101 that nobody asked for", "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"],
  ["too many headers", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(101)}\r\n`],
  ["headers that are too large", `HTTP/1.1 200 OK\r\na: ${"b".repeat(70_000)}\r\n\r\n`],
])("takes %s for a broken protocol", async (_, answer) => {
  const server = closeAfterTest(await answerWith(answer));
  const { pools, stats } = openPoolRig();
  const error = await fail(pools.send(createHost(server.port), createRequest(), "DEFAULT").response);
  expect(error.failure).toBe("protocol-error");
  expect(stats.read("upstream_cx_protocol_error")).toBe(1);
  await until(() => stats.read("upstream_cx_active") === 0);
});

it.each([
  ["a size that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"],
  ["a chunk that goes on", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n"],
  ["a negative size", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n"],
  ["a size with LF alone", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n"],
])("breaks off a body with %s", async (_, answer) => {
  const server = closeAfterTest(await answerWith(answer));
  const { pools } = openPoolRig();
  const response = await pools
    .send(createHost(server.port), createRequest(), "DEFAULT")
    .response.catch((error: unknown) => error);
  const error =
    response instanceof UpstreamError ? response : await fail(readText((response as { body: BodySource }).body));
  expect(error.failure).toBe("protocol-error");
});

it.each<[string, string, string, number]>([
  ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 1],
  [
    "chunks",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nx-t: 1\r\n\r\n",
    "abc",
    1,
  ],
  ["the end", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", 2],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 2],
  ["connection: close", "HTTP/1.1 200 OK\r\nconnection: close\r\nContent-Length: 3\r\n\r\nabc", "abc", 2],
  ["204", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", "", 1],
])("reads a body that ends by %s, whatever the pieces", async (_, answer, expected, connections) => {
  const server = closeAfterTest(
    await listen(
      createServer((socket) => {
        socket.setNoDelay(true);
        socket.on("data", async () => {
          for (const byte of answer) {
            socket.write(byte, "latin1");
            await new Promise((resolve) => setImmediate(resolve));
          }
          if (answer.endsWith("\n\r\nabc") && !/length/i.test(answer)) socket.end();
        });
      }),
    ),
  );
  const { pools, stats } = openPoolRig();
  for (let round = 0; round < 2; round++) {
    const { body } = await pools.send(createHostOnce(server.port), createRequest(), "DEFAULT").response;
    expect(await readText(body)).toBe(expected);
  }
  expect(stats.read("upstream_cx_total")).toBe(connections);
});

const hosts = new Map<number, ReturnType<typeof createHost>>();

function createHostOnce(port: number): ReturnType<typeof createHost> {
  const host = hosts.get(port) ?? createHost(port);
  hosts.set(port, host);
  return host;
}

it("gives an answer that has more behind it, and never uses that connection again", async () => {
  const server = closeAfterTest(
    await answerWith("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"),
  );
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  for (let round = 0; round < 2; round++) {
    expect(await readText((await pools.send(host, createRequest(), "DEFAULT").response).body)).toBe("ok");
  }
  expect([stats.read("upstream_cx_total"), stats.read("upstream_cx_protocol_error")]).toEqual([2, 2]);
});

it("has no body for HEAD, and none for 304", async () => {
  const server = await serveHttp((request, response) => {
    if (request.method === "HEAD") response.setHeader("content-length", "99").end();
    else response.writeHead(304, { "content-length": "99" }).end();
  });
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  for (const method of ["HEAD", "GET"]) {
    const response = await pools.send(host, createRequest({ method }), "DEFAULT").response;
    expect([response.body, response.headers.get("content-length")]).toEqual([undefined, "99"]);
  }
  expect(stats.read("upstream_cx_total")).toBe(1);
});

it("passes information and trailers on in both directions", async () => {
  const server = await serveHttp((request, response) => {
    response.writeEarlyHints({ link: "</a>; rel=preload" });
    request.resume().on("end", () => {
      response.writeHead(200, { trailer: "x-t" });
      response.write("a");
      response.addTrailers({ "x-t": `got ${request.trailers["x-up"] ?? ""}` });
      response.end();
    });
  });
  const options = { http_protocol_options: { enable_trailers: true } };
  const { pools } = openPoolRig(options);
  const told: string[] = [];
  const request = createRequest({
    method: "POST",
    body: bodyOf(Buffer.from("x"), new HeaderList(["x-up", "7"])),
    onInformation: (status, headers) => told.push(`${status} ${headers.get("link") ?? ""}`),
  });
  const { body } = await pools.send(createHost(server.port), request, "DEFAULT").response;
  if (body === undefined) throw new Error("no body");
  const { trailers } = await collect(body, 100);
  expect(told).toEqual(["103 </a>; rel=preload"]);
  expect(trailers?.raw).toEqual(["x-t", "got 7"]);
});

it("becomes a tunnel when the server agrees, and stays an answer when it does not", async () => {
  const server = closeAfterTest(
    await listen(
      createServer((socket) => {
        let head = "";
        socket.on("data", (chunk) => {
          if (head.endsWith("\r\n\r\n")) {
            socket.write(`<${chunk.toString()}>`);
            return;
          }
          head += chunk.toString("latin1");
          if (head.startsWith("GET /no")) socket.write("HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno");
          else if (head.startsWith("GET")) socket.write("HTTP/1.1 101 Go\r\nupgrade: websocket\r\n\r\nhi");
          else socket.write("HTTP/1.1 200 OK\r\n\r\nhi");
        });
        socket.on("end", () => socket.end("bye"));
      }),
    ),
  );
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  const upgrades = [
    createRequest({ upgrade: "websocket" }),
    createRequest({ method: "CONNECT", path: "", upgrade: "connect" }),
  ];
  for (const request of upgrades) {
    const answer = await pools.send(host, { ...request, body: bodyOf(Buffer.from("ping")) }, "DEFAULT").response;
    expect(answer.status).toBe(request.upgrade === "connect" ? 200 : 101);
    expect(await readText(answer.body)).toBe("hi<ping>bye");
  }
  const refused = await pools.send(
    host,
    createRequest({ path: "/no", upgrade: "websocket", body: bodyOf(Buffer.from("ping")) }),
    "DEFAULT",
  ).response;
  expect([refused.status, await readText(refused.body)]).toEqual([403, "no"]);
  // What a server takes for a tunnel, agreed or not, takes no further request.
  await until(() => stats.read("upstream_cx_active") === 0);
});

it("holds the server up while nobody reads, and the client while the server does not", async () => {
  const size = 8_000_000;
  let isRead = false;
  const server = await serveHttp((request, response) => {
    if (request.method === "GET") {
      response.end(Buffer.alloc(size, 97));
      return;
    }
    setImmediate(() => {
      isRead = true;
      request.resume().on("end", () => response.end("done"));
    });
  });
  const { pools, stats } = openPoolRig();
  const host = createHost(server.port);
  const { body } = await pools.send(host, createRequest(), "DEFAULT").response;
  await until(() => stats.read("upstream_flow_control_paused_reading_total") > 0);
  expect(stats.read("upstream_cx_rx_bytes_total")).toBeLessThan(size / 4);
  let received = 0;
  await new Promise<void>((resolve, reject) => {
    body?.pipe({
      write(chunk) {
        received += chunk.length;
        setImmediate(() => body.resume());
        return false;
      },
      end: () => resolve(),
      abort: reject,
    });
  });
  expect(received).toBe(size);
  const upload = createUpload(64, Buffer.alloc(65_536));
  const answer = await pools.send(host, createRequest({ method: "POST", body: upload.source }), "DEFAULT").response;
  expect([await readText(answer.body), isRead]).toEqual(["done", true]);
  expect(upload.pauses()).toBeGreaterThan(0);
});

/** A body of so many chunks that notes how often it had to wait. */
function createUpload(count: number, chunk: Buffer): { readonly source: BodySource; pauses(): number } {
  let [left, pauses] = [count, 0];
  let sink: BodySink | undefined;
  const give = (): void => {
    while (left > 0) {
      left--;
      if (sink?.write(chunk) === false) {
        pauses++;
        return;
      }
    }
    const taker = sink;
    sink = undefined;
    taker?.end();
  };
  return {
    source: {
      pipe(to) {
        sink = to;
        give();
      },
      resume: give,
      cancel: () => undefined,
    },
    pauses: () => pauses,
  };
}

it("queues behind its limits and says when there is no place", async () => {
  const waiting: ServerResponse[] = [];
  const server = await serveHttp((_, response) => waiting.push(response));
  const { pools, stats } = openPoolRig({}, { connections: 1, pendingRequests: 1 });
  const host = createHost(server.port);
  const first = pools.send(host, createRequest(), "DEFAULT");
  await until(() => waiting.length === 1);
  const second = pools.send(host, createRequest(), "DEFAULT");
  const third = pools.send(host, createRequest(), "DEFAULT");
  expect(await fail(third.response)).toMatchObject({ failure: "overflow", host: undefined });
  expect(stats.read("upstream_rq_pending_active")).toBe(1);
  waiting[0]?.end("1");
  expect(await readText((await first.response).body)).toBe("1");
  await until(() => waiting.length === 2);
  waiting[1]?.end("2");
  expect(await readText((await second.response).body)).toBe("2");
  expect(stats.read("upstream_cx_total")).toBe(1);
});

it("frees the place of a request that is cancelled, waiting or under way", async () => {
  let closed = 0;
  const server = await serveHttp((request) => request.socket.on("close", () => closed++));
  const { pools, stats } = openPoolRig({}, { connections: 1 });
  const host = createHost(server.port);
  const first = pools.send(host, createRequest(), "DEFAULT");
  await until(() => stats.read("upstream_rq_active") === 1);
  const second = pools.send(host, createRequest(), "DEFAULT");
  second.cancel();
  first.cancel();
  expect([(await fail(first.response)).isSent, (await fail(second.response)).isSent]).toEqual([true, false]);
  await until(() => closed === 1);
  expect(
    ["upstream_rq_active", "upstream_rq_pending_active", "upstream_rq_cancelled", "upstream_rq_tx_reset"].map(
      stats.read,
    ),
  ).toEqual([0, 0, 1, 0]);
});

it("tells a host that does not answer from one that breaks off", async () => {
  const gone = await listen(createServer());
  await gone.close();
  const { pools, stats } = openPoolRig();
  const refused = await fail(pools.send(createHost(gone.port), createRequest(), "DEFAULT").response);
  expect([refused.failure, refused.isSent, refused.transportFailure]).toEqual([
    "connection-failure",
    false,
    "delayed connect error: Connection refused",
  ]);
  expect(stats.read("upstream_cx_connect_fail")).toBe(1);
  const server = closeAfterTest(await answerWith("", true));
  const broken = await fail(pools.send(createHost(server.port), createRequest(), "DEFAULT").response);
  expect([broken.failure, broken.isSent]).toEqual(["connection-termination", true]);
  const partly = closeAfterTest(await answerWith("HTTP/1.1 200 O", true));
  const unread = await fail(pools.send(createHost(partly.port), createRequest(), "DEFAULT").response);
  expect(unread.failure).toBe("protocol-error");
  const half = closeAfterTest(await answerWith("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", true));
  const { body } = await pools.send(createHost(half.port), createRequest(), "DEFAULT").response;
  expect((await fail(readText(body))).failure).toBe("connection-termination");
  // What Envoy counts: the two answers that broke off, and no reset, which HTTP/1 has none of.
  expect(["upstream_cx_protocol_error", "upstream_rq_rx_reset"].map(stats.read)).toEqual([2, 0]);
});

it("ends connections that have nothing to do, and those that have served enough", async () => {
  const server = await serveHttp((_, response) => response.end("x"));
  const { pools, stats, clock } = openPoolRig({
    common_http_protocol_options: { idle_timeout: { seconds: 60 }, max_requests_per_connection: { value: 2 } },
  });
  const host = createHost(server.port);
  const ask = async (): Promise<void> => {
    await readText((await pools.send(host, createRequest(), "DEFAULT").response).body);
  };
  await ask();
  await ask();
  await ask();
  expect([stats.read("upstream_cx_total"), stats.read("upstream_cx_max_requests")]).toEqual([2, 1]);
  clock.advance(61_000);
  expect(stats.read("upstream_cx_idle_timeout")).toBe(1);
  await until(() => stats.read("upstream_cx_active") === 0);
  await ask();
  pools.drainHost(host, "finish");
  await until(() => stats.read("upstream_cx_active") === 0);
});

it("ends a request that takes too long, answered or not", async () => {
  const server = await serveHttp((request, response) => {
    if (request.url === "/begin") response.write("x");
  });
  const { pools, stats, clock } = openPoolRig({
    common_http_protocol_options: { max_stream_duration: { seconds: 9 } },
  });
  const host = createHost(server.port);
  const begun = await pools.send(host, createRequest({ path: "/begin" }), "DEFAULT").response;
  const silent = pools.send(host, createRequest(), "DEFAULT").response;
  // Counted from when a connection has taken it.
  await until(() => stats.read("upstream_rq_active") === 2);
  clock.advance(8999);
  expect(stats.read("upstream_rq_active")).toBe(2);
  clock.advance(1);
  expect([(await fail(silent)).failure, (await fail(readText(begun.body))).failure]).toEqual([
    "max-duration",
    "max-duration",
  ]);
  expect([stats.read("upstream_rq_max_duration_reached"), stats.read("upstream_rq_active")]).toEqual([2, 0]);
});

it("gives up on a host that does not take connections in time", async () => {
  // Nobody answers in a network that is for documentation only, or the system refuses at once.
  const { pools, clock } = openPoolRig();
  const pending = pools.send(createHost(9, {}, "192.0.2.1"), createRequest(), "DEFAULT");
  clock.advance(5001);
  expect(["connection-timeout", "connection-failure"]).toContain((await fail(pending.response)).failure);
});
