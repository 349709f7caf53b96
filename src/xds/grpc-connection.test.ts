/** What clients may do on a connection, down to the last frame. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { clientPreface, frameTypes } from "@meltemi/http2/frame-types";
import { block, FrameLog, frame, setting, uint32 } from "@meltemi/http2/test-session";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { createGrpcTransport, defaultGrpcLimits, type GrpcLimits } from "./grpc-server.ts";
import type { Admission, StreamPort, StreamService } from "./transport.ts";

const { data, headers, continuation, settings, ping, goaway, reset, windowUpdate, priority } = frameTypes;
const endStream = 1;
const endHeaders = 4;
const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const head = [":method", "POST", ":scheme", "http", ":path", path, "content-type", "application/grpc"];
const answerHead = "HEADERS 4 1 :status 200 content-type application/grpc grpc-accept-encoding identity,gzip,deflate";
const opening = Buffer.concat([clientPreface, frame(settings, 0, 0)]);

const begin = (stream: number, ...more: readonly string[]): Buffer =>
  frame(headers, endHeaders, stream, block(...head, ...more));

function message(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}

interface ServerOptions {
  readonly limits?: Partial<GrpcLimits>;
  readonly admit?: () => Admission;
}

/** A server that tells what it hears of streams, and answers nothing by itself. */
async function startServer({ limits = {}, admit = () => ({ kind: "now" }) }: ServerOptions = {}) {
  const told: string[] = [];
  const ports: StreamPort[] = [];
  const service: StreamService = {
    admit,
    authenticate: async () => undefined,
    accept(port) {
      ports.push(port);
      return {
        handleMessage: (bytes) => told.push(bytes.length > 40 ? `#${bytes.length}` : Buffer.from(bytes).toString()),
        handleEnd: () => told.push("end"),
        handleClosed: () => told.push("closed"),
      };
    },
    isServing: () => true,
  };
  const options = { limits: { ...defaultGrpcLimits, ...limits }, clock: systemClock, log: silentLog };
  const transport = createGrpcTransport(options, service);
  onTestFinished(() => transport.stop(0));
  const address = await transport.listen("127.0.0.1:0");
  return { transport, told, ports, port: Number(address.split(":")[1]) };
}

/** A client of bare frames. */
function open(port: number, first: Buffer = opening) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const log = new FrameLog();
  const received: Buffer[] = [];
  const client = {
    socket,
    isClosed: false,
    lines: log.lines,
    text: () => Buffer.concat(received).toString("latin1"),
    /** What came after the server's own SETTINGS and its window. */
    answers: () => log.lines.filter((line) => !/^SETTINGS|^WINDOW \d+ 0/.test(line)),
    send: (...bytes: readonly Buffer[]) => void socket.write(Buffer.concat(bytes)),
  };
  socket.on("data", (bytes) => {
    received.push(bytes);
    log.add(bytes);
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    client.isClosed = true;
  });
  onTestFinished(() => void socket.destroy());
  client.send(first);
  return client;
}

/** As often as the event loop needs to hear of everything that is there. */
const wait = { timeout: 20_000 };

test("a call is carried in both directions", async () => {
  const { told, ports, port } = await startServer();
  const client = open(port);
  client.send(begin(1), frame(data, 0, 1, message("ab")));
  await vi.waitFor(() => expect(told).toEqual(["ab"]), wait);
  let written = 0;
  ports[0]?.write(Buffer.from("answer"), () => {
    written += 1;
  });
  client.send(frame(data, endStream, 1, message("c")));
  await vi.waitFor(() => expect(told).toEqual(["ab", "c", "end"]), wait);
  ports[0]?.end({ code: "OK", details: "" });
  await vi.waitFor(() => expect(told).toEqual(["ab", "c", "end", "closed"]), wait);
  await vi.waitFor(() => expect(client.answers()).toHaveLength(3), wait);
  expect(client.answers()).toEqual([
    answerHead,
    `DATA 0 1 ${message("answer").toString("latin1")}`,
    "HEADERS 5 1 grpc-status 0",
  ]);
  expect(written).toBe(1);
});

test("a client that would go on sending is told not to, behind the status", async () => {
  const { ports, port } = await startServer();
  const client = open(port);
  client.send(begin(1));
  await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
  ports[0]?.end({ code: "INVALID_ARGUMENT", details: "no: ü" });
  await vi.waitFor(() => expect(client.answers()).toHaveLength(2), wait);
  expect(client.answers()).toEqual([
    `${answerHead.replace(" 4 ", " 5 ")} grpc-status 3 grpc-message no:%20%C3%BC`,
    "RST 0 1 0",
  ]);
});

test("a request that comes byte by byte is the same", async () => {
  const { told, port } = await startServer();
  const client = open(port, Buffer.alloc(0));
  const all = Buffer.concat([
    opening,
    begin(1),
    frame(data, 0, 1, message("ab")),
    frame(data, endStream, 1, message("c")),
  ]);
  for (const byte of all) {
    client.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await vi.waitFor(() => expect(told).toEqual(["ab", "c", "end"]), wait);
});

test("a large message in frames of all sizes is put together", async () => {
  const { told, port } = await startServer();
  const client = open(port);
  const bytes = message("x".repeat(300_000));
  client.send(begin(1));
  for (let at = 0, size = 1; at < bytes.length; at += size, size = Math.min(size * 2, 16_384)) {
    client.send(frame(data, 0, 1, bytes.subarray(at, at + size)));
  }
  await vi.waitFor(() => expect(told).toEqual(["#300000"]), wait);
});

describe("what is no HTTP/2 ends its connection, and no other", () => {
  test.each<readonly [string, Buffer]>([
    ["a request of HTTP/1.1", Buffer.from("GET / HTTP/1.1\r\nhost: a\r\n\r\n")],
    ["an upgrade", Buffer.from("POST / HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")],
    ["TLS", Buffer.from("16030100c8010000c40303", "hex")],
    ["zeros", Buffer.alloc(100)],
    ["no SETTINGS", Buffer.concat([clientPreface, frame(ping, 0, 0, Buffer.alloc(8))])],
    ["a frame that is too large", Buffer.concat([opening, frame(data, 0, 1, Buffer.alloc(16_385))])],
    ["a block that is none of HPACK", Buffer.concat([opening, frame(headers, endHeaders, 1, Buffer.from([0xff]))])],
    ["CONTINUATION by itself", Buffer.concat([opening, frame(continuation, endHeaders, 1, "")])],
    ["content of no stream", Buffer.concat([opening, frame(data, 0, 1, "a")])],
    ["a stream of the server's", Buffer.concat([opening, begin(2)])],
    ["a head in the midst of another", Buffer.concat([opening, frame(headers, 0, 1, block(...head)), begin(3)])],
  ])("%s", async (_what, bytes) => {
    const { told, ports, port } = await startServer();
    const other = open(port);
    const client = open(port, bytes);
    await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
    expect(client.lines.at(-1)).toMatch(/^GOAWAY/);
    expect(ports).toEqual([]);
    other.send(begin(1), frame(data, 0, 1, message("a")));
    await vi.waitFor(() => expect(told).toEqual(["a"]), wait);
  });
});

test.each<readonly [string, readonly string[], string]>([
  ["no path", head.filter((_text, index) => index !== 4 && index !== 5), "RST 0 1 1"],
  ["capitals", [...head, "A", "b"], "RST 0 1 1"],
  ["a header of the connection", [...head, "connection", "close"], "RST 0 1 1"],
  ["a method twice", [":method", "GET", ...head], "RST 0 1 1"],
])("a head that is none costs its stream: %s", async (_what, raw, answer) => {
  const { told, port } = await startServer();
  const client = open(port);
  client.send(frame(headers, endHeaders, 1, block(...raw)), begin(3), frame(data, 0, 3, message("a")));
  await vi.waitFor(() => expect(told).toEqual(["a"]), wait);
  await vi.waitFor(() => expect(client.answers()).toEqual([answer]), wait);
});

test("a head that is too large costs its stream", async () => {
  const { told, port } = await startServer();
  const client = open(port);
  const large = block(...head, ...Array.from({ length: 1000 }, (_, index) => [`n${index}`, "v".repeat(100)]).flat());
  const parts = [large.subarray(0, 16_384), large.subarray(16_384, 32_768), large.subarray(32_768, 49_152)];
  client.send(frame(headers, 0, 1, parts[0] ?? ""));
  for (const part of parts.slice(1)) client.send(frame(continuation, 0, 1, part));
  for (let at = 49_152; at < large.length; at += 16_384) {
    const isLast = at + 16_384 >= large.length;
    client.send(frame(continuation, isLast ? endHeaders : 0, 1, large.subarray(at, at + 16_384)));
  }
  client.send(begin(3), frame(data, 0, 3, message("a")));
  await vi.waitFor(() => expect(told).toEqual(["a"]), wait);
  await vi.waitFor(() => expect(client.answers()).toEqual(["RST 0 1 11"]), wait);
});

test("what is no call of gRPC is answered as such", async () => {
  const { port } = await startServer();
  const client = open(port);
  const get = block(":method", "GET", ":scheme", "http", ":path", "/");
  client.send(frame(headers, endHeaders | endStream, 1, get));
  await vi.waitFor(() => expect(client.answers()).toEqual(["HEADERS 5 1 :status 415 content-length 0"]), wait);
});

describe("a call ends once, and its connection goes on", () => {
  test.each<readonly [string, Buffer]>([
    ["a reset while a message is under way", frame(reset, 0, 1, uint32(8))],
    ["trailers that are none", frame(headers, endHeaders | endStream, 1, block(":path", "/"))],
    ["a head in place of trailers", frame(headers, endHeaders, 1, block("a", "b"))],
    ["the end within a message", frame(data, endStream, 1, "")],
  ])("%s", async (_what, bytes) => {
    const { told, port } = await startServer();
    const client = open(port);
    client.send(begin(1), frame(data, 0, 1, message("a")), frame(data, 0, 1, message("long").subarray(0, 7)));
    await vi.waitFor(() => expect(told).toEqual(["a"]), wait);
    client.send(bytes, begin(3), frame(data, 0, 3, message("b")));
    await vi.waitFor(() => expect(told).toEqual(["a", "closed", "b"]), wait);
  });

  test("when the connection breaks off", async () => {
    const { told, ports, port } = await startServer();
    const client = open(port);
    client.send(begin(1), begin(3));
    await vi.waitFor(() => expect(ports).toHaveLength(2), wait);
    client.socket.resetAndDestroy();
    await vi.waitFor(() => expect(told).toEqual(["closed", "closed"]), wait);
    ports[0]?.write(Buffer.from("late"), () => told.push("written"));
    ports[0]?.end({ code: "OK", details: "" });
    await sleep(20);
    expect(told).toEqual(["closed", "closed"]);
  });

  test("when the connection is no HTTP/2 any more", async () => {
    const { told, ports, port } = await startServer();
    const client = open(port);
    client.send(begin(1));
    await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
    client.send(frame(data, 0, 5, "a"));
    await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
    expect(told).toEqual(["closed"]);
  });
});

test("the deadline of a call ends it", async () => {
  const { told, port } = await startServer();
  const client = open(port);
  client.send(begin(1, "grpc-timeout", "50m"));
  await vi.waitFor(() => expect(told).toEqual(["closed"]), wait);
  await vi.waitFor(() => expect(client.answers().at(-1)).toBe("RST 0 1 0"), wait);
  expect(client.answers()[0]).toContain("grpc-status 4");
});

test("PING is answered, and a client that does not answer one is let go", async () => {
  const { port } = await startServer({ limits: { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50 } });
  const client = open(port);
  client.send(frame(ping, 0, 0, "12345678"));
  await vi.waitFor(() => expect(client.lines).toContain("PING 1 0 12345678"), wait);
  await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
  expect(client.lines).toContain("PING 0 0 meltemi-");
});

test("a client that answers PING is kept", async () => {
  const { told, port } = await startServer({ limits: { keepaliveIntervalMs: 20, keepaliveTimeoutMs: 10_000 } });
  const client = open(port);
  const asked = (): number => client.lines.filter((line) => line === "PING 0 0 meltemi-").length;
  for (let count = 1; count <= 5; count++) {
    await vi.waitFor(() => expect(asked()).toBeGreaterThanOrEqual(count), wait);
    client.send(frame(ping, 1, 0, "meltemi-"));
  }
  client.send(begin(1), frame(data, 0, 1, message("a")));
  await vi.waitFor(() => expect(told).toEqual(["a"]), wait);
});

test("a stream that waits for its turn is not read, beyond its window", async () => {
  const { told, ports, port } = await startServer({ admit: () => ({ kind: "wait", waitMs: 300 }) });
  const client = open(port);
  client.send(begin(1));
  const content = message("x".repeat(1_000_000));
  for (let at = 0; at < content.length; at += 16_384) client.send(frame(data, 0, 1, content.subarray(at, at + 16_384)));
  await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
  // Nothing was told before it had its turn; then all is, and the window opens.
  await vi.waitFor(() => expect(told).toEqual(["#1000000"]), wait);
  await vi.waitFor(() => expect(client.lines.some((line) => line.startsWith("WINDOW 0 1"))).toBe(true), wait);
});

test("a client that sends more than its window while it waits is let go", async () => {
  const { ports, port } = await startServer({ admit: () => ({ kind: "wait", waitMs: 60_000 }) });
  const client = open(port);
  client.send(begin(1));
  for (let sent = 0; sent <= 1024 * 1024; sent += 16_384) client.send(frame(data, 0, 1, Buffer.alloc(16_384)));
  await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
  expect(client.lines.at(-1)).toMatch(/^GOAWAY 0 0 \d+ 3 /);
  expect(client.lines.filter((line) => line.startsWith("WINDOW 0 1"))).toEqual([]);
  expect(ports).toEqual([]);
});

test("a client whose window is shut gets nothing, and its message is told as written when all of it has gone", async () => {
  const { ports, port } = await startServer();
  const client = open(port, Buffer.concat([clientPreface, frame(settings, 0, 0, setting(4, 10))]));
  client.send(begin(1));
  await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
  const written: string[] = [];
  ports[0]?.write(Buffer.from("a".repeat(20)), () => written.push("a"));
  await vi.waitFor(() => expect(client.answers()).toHaveLength(2), wait);
  expect(written).toEqual([]);
  client.send(frame(windowUpdate, 0, 1, uint32(14)));
  await sleep(20);
  expect(written).toEqual([]);
  client.send(frame(windowUpdate, 0, 1, uint32(1)));
  await vi.waitFor(() => expect(written).toEqual(["a"]), wait);
});

test("a message that many get is the same for each, whatever their windows and the numbers of their streams", async () => {
  const { ports, port } = await startServer();
  const text = Array.from({ length: 60_000 }, (_, index) => String.fromCharCode(97 + (index % 26))).join("");
  const bytes = Buffer.from(text);
  const clients = [100, 16_384, 40_000, 1_000_000].map((window) => {
    const client = open(port, Buffer.concat([clientPreface, frame(settings, 0, 0, setting(4, window))]));
    client.send(frame(windowUpdate, 0, 0, uint32(10_000_000)), begin(1), begin(3));
    return client;
  });
  await vi.waitFor(() => expect(ports).toHaveLength(8), wait);
  let written = 0;
  for (const each of ports) {
    each.write(bytes, () => {
      written += 1;
    });
  }
  for (const client of clients) {
    client.send(frame(windowUpdate, 0, 1, uint32(100_000)), frame(windowUpdate, 0, 3, uint32(100_000)));
  }
  await vi.waitFor(() => expect(written).toBe(8), wait);
  const total = 2 * 60_005;
  for (const client of clients) {
    await vi.waitFor(() => expect(contentOf(client.text()).length).toBe(total), wait);
    for (const stream of [1, 3]) expect(contentOf(client.text(), stream).slice(5)).toBe(text);
  }
});

/** Content of the DATA frames in what a server has sent, of one stream or of all. */
function contentOf(received: string, stream?: number): string {
  const bytes = Buffer.from(received, "latin1");
  const parts: string[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const isWanted = bytes[at + 3] === data && (stream === undefined || bytes.readUInt32BE(at + 5) === stream);
    if (isWanted && end <= bytes.length) parts.push(bytes.toString("latin1", at + 9, end));
    at = end;
  }
  return parts.join("");
}

describe("floods end the connection", () => {
  const many = (count: number, make: (index: number) => Buffer): Buffer =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  test.each<readonly [string, Buffer]>([
    ["SETTINGS", many(1100, () => frame(settings, 0, 0))],
    [
      "streams that are reset at once",
      many(1100, (index) => Buffer.concat([begin(2 * index + 1), frame(reset, 0, 2 * index + 1, uint32(8))])),
    ],
    ["heads that are none", many(1100, (index) => frame(headers, endHeaders, 2 * index + 1, block("a", "b")))],
    ["PRIORITY", many(200, () => frame(priority, 0, 1, Buffer.alloc(5)))],
    ["empty content", Buffer.concat([begin(1), many(3, () => frame(data, 0, 1, ""))])],
    ["windows", many(200, () => frame(windowUpdate, 0, 0, uint32(1)))],
  ])("of %s", async (_what, bytes) => {
    const { port } = await startServer();
    const client = open(port);
    client.send(bytes);
    await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
    expect(client.lines.at(-1)).toMatch(/^GOAWAY 0 0 \d+ 11 /);
  });
});

describe("a server that stops", () => {
  test("says so, lets calls end, and then the connection", async () => {
    const { transport, ports, told, port } = await startServer();
    const client = open(port);
    client.send(begin(1));
    await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
    const stopped = transport.stop(60_000);
    await vi.waitFor(() => expect(client.answers()).toEqual(["GOAWAY 0 0 1 0 "]), wait);
    // One that the client began before it had heard of it: it may go elsewhere.
    client.send(begin(3));
    ports[0]?.write(Buffer.from("last"), () => told.push("written"));
    ports[0]?.end({ code: "UNAVAILABLE", details: "stopping" });
    await stopped;
    await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
    expect(client.answers().slice(-3)).toEqual([
      `DATA 0 1 ${message("last").toString("latin1")}`,
      "HEADERS 5 1 grpc-status 14 grpc-message stopping",
      "RST 0 1 0",
    ]);
    expect(ports).toHaveLength(1);
    expect(told.toSorted()).toEqual(["closed", "written"]);
  });

  test("does not wait for ever", async () => {
    const { transport, ports, told, port } = await startServer();
    const client = open(port);
    client.send(begin(1));
    await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
    await transport.stop(50);
    await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
    expect(told).toEqual(["closed"]);
  });

  test("ends connections without calls at once, and those that have said nothing", async () => {
    const { transport, port } = await startServer();
    const clients = [open(port), open(port, Buffer.alloc(0))];
    await vi.waitFor(() => expect(clients.map(({ lines }) => lines.length > 0)).toEqual([true, true]), wait);
    await transport.stop(60_000);
    for (const client of clients) await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
  });
});

test("an old connection is asked to go, and ends with its last call", async () => {
  const { ports, port } = await startServer({ limits: { maxConnectionAgeMs: 200 } });
  const client = open(port);
  client.send(begin(1));
  await vi.waitFor(() => expect(client.answers()).toEqual(["GOAWAY 0 0 1 0 "]), wait);
  ports[0]?.end({ code: "OK", details: "" });
  await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
});

test("a client that says goodbye is let go after its last call", async () => {
  const { ports, port } = await startServer();
  const client = open(port);
  client.send(begin(1), frame(goaway, 0, 0, Buffer.alloc(8)));
  await vi.waitFor(() => expect(ports).toHaveLength(1), wait);
  ports[0]?.end({ code: "OK", details: "" });
  await vi.waitFor(() => expect(client.isClosed).toBe(true), wait);
  expect(client.answers()[0]).toContain("grpc-status 0");
});
