/** What an HTTP/2 connection of a client does that only frames show, over sockets. */
import type { Socket } from "node:net";
import { clientPreface, frameTypes } from "@meltemi/http2/frame-types";
import { block, FrameLog, frame, uint32 } from "@meltemi/http2/test-session";
import { duration } from "@meltemi/protos";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { afterEach, describe, expect, it } from "vitest";
import { TestClock } from "../../../../../test/support/test-clock.ts";
import { HeaderList } from "../header-list.ts";
import { openSocket, startTestServer, type TestServer, type TestServerOptions } from "../test-server.ts";

const servers: TestServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.close();
});

const { data, headers, reset, settings, ping } = frameTypes;
const opening = Buffer.concat([clientPreface, frame(settings, 0, 0)]);
const fields = (path: string, ...more: readonly string[]): Buffer =>
  block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", path, ...more);
const ask = (id: number, ...more: readonly string[]): Buffer => frame(headers, 5, id, fields("/", ...more));
const post = (id: number, ...more: readonly string[]): Buffer => frame(headers, 4, id, fields("/", ...more));

interface Talk {
  readonly server: TestServer;
  readonly socket: Socket;
  readonly lines: readonly string[];
  readonly closed: Promise<void>;
}

async function talk(options: TestServerOptions, ...bytes: readonly Buffer[]): Promise<Talk> {
  const server = await startTestServer(options);
  servers.push(server);
  const socket = await openSocket(server.port);
  sockets.push(socket);
  const log = new FrameLog();
  socket.on("data", (chunk: Buffer) => log.add(chunk));
  const closed = new Promise<void>((resolve) => {
    socket.once("end", () => {
      socket.end();
      resolve();
    });
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
  socket.write(Buffer.concat([opening, ...bytes]));
  return { server, socket, lines: log.lines, closed };
}

const http2 = (options: HttpConnectionManager["http2_protocol_options"]): TestServerOptions => ({
  wire: { http2_protocol_options: options },
});
const details = ({ entries }: TestServer): readonly string[] =>
  entries.map(({ info }) => `${info.responseCodeDetails} ${[...info.responseFlags].join()}`);

describe("a malformed request", () => {
  const bad = ask(1, "x y", "1");

  it("ends its connection, with all that is on it, and is logged", async () => {
    const { server, lines, closed } = await talk(
      { handle: () => new Promise(() => undefined) },
      post(3),
      ask(5, "X", "1"),
    );
    await closed;
    expect(lines.at(-1)).toBe("GOAWAY 0 0 5 1 http2.invalid.header.field");
    expect(details(server)).toEqual(["http2.invalid.header.field DPE", "downstream_remote_disconnect DC"]);
    expect(server.stat("http2.rx_messaging_error")).toBe(1);
    expect(server.stat("http.test.downstream_cx_protocol_error")).toBe(1);
    await expect.poll(() => server.stat("http.test.downstream_cx_destroy_local")).toBe(1);
    expect(server.stat("http2.streams_active")).toBe(0);
  });

  it.each([
    [
      "override_stream_error_on_invalid_http_message",
      { override_stream_error_on_invalid_http_message: { value: true } },
    ],
    ["stream_error_on_invalid_http_messaging", { stream_error_on_invalid_http_messaging: true }],
  ])("ends its stream alone by %s", async (_name, options) => {
    const { server, lines } = await talk(http2(options), bad, ask(3));
    await expect.poll(() => lines.at(-1)).toMatch(/^DATA 1 3 ok/);
    expect(lines.filter((line) => line.startsWith("RST"))).toEqual(["RST 0 1 1"]);
    expect(server.stat("http.test.downstream_cx_protocol_error")).toBe(0);
  });

  it.each<readonly [string, string, string, readonly Buffer[]]>([
    [
      "content longer than its length",
      "RST 0 1 1",
      "http2.remote_reset DPE",
      [post(1, "content-length", "2"), frame(data, 0, 1, "abc")],
    ],
    [
      "content shorter than its length",
      "RST 0 1 1",
      "http2.remote_reset DPE",
      [post(1, "content-length", "4"), frame(data, 1, 1, "abc")],
    ],
    [
      "too many headers",
      "RST 0 1 2",
      "http2.too_many_headers DR",
      [ask(1, ...Array.from({ length: 100 }, (_, index) => [`x-${index}`, "1"]).flat())],
    ],
    [
      "too many trailers",
      "RST 0 1 2",
      "http2.too_many_headers DR",
      [post(1), frame(headers, 5, 1, block(...Array.from({ length: 101 }, (_, index) => [`x-${index}`, "1"]).flat()))],
    ],
  ])("ends its stream alone for %s", async (_name, line, logged, bytes) => {
    const never = (): Promise<never> => new Promise(() => undefined);
    const { server, lines } = await talk({ handle: never }, ...bytes, frame(ping, 0, 0, "12345678"));
    await expect.poll(() => lines).toContain(line);
    expect(lines.some((each) => each.startsWith("GOAWAY"))).toBe(false);
    expect(details(server)).toEqual([logged]);
    expect(server.stat("http2.tx_reset")).toBe(1);
  });
});

describe("floods by Envoy's fields", () => {
  const many = (count: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => bytes));
  it.each<readonly [string, HttpConnectionManager["http2_protocol_options"], Buffer]>([
    [
      "inbound_empty_frames_flood",
      { max_consecutive_inbound_frames_with_empty_payload: { value: 3 } },
      Buffer.concat([post(1), many(4, frame(data, 0, 1))]),
    ],
    [
      "inbound_priority_frames_flood",
      { max_inbound_priority_frames_per_stream: { value: 2 } },
      many(3, frame(2, 0, 9, Buffer.from([0, 0, 0, 0, 0]))),
    ],
    [
      "inbound_window_update_frames_flood",
      { max_inbound_window_update_frames_per_data_frame_sent: { value: 1 } },
      many(6, frame(8, 0, 0, uint32(1))),
    ],
    ["outbound_control_flood", { max_outbound_control_frames: { value: 5 } }, many(7, frame(ping, 0, 0, "12345678"))],
    ["outbound_flood", { max_outbound_frames: { value: 8 } }, many(10, frame(ping, 0, 0, "12345678"))],
  ])("%s", async (statistic, options, bytes) => {
    const { server, closed } = await talk({ ...http2(options), handle: () => new Promise(() => undefined) }, bytes);
    await closed;
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
    expect(server.stat(`http2.${statistic}`)).toBe(1);
    expect(server.stat("http.test.downstream_cx_protocol_error")).toBe(0);
  });

  it.each([
    ["max_outbound_frames", { max_outbound_frames: { value: 0 } }],
    ["max_outbound_control_frames", { max_outbound_control_frames: { value: 0 } }],
    [
      "max_inbound_window_update_frames_per_data_frame_sent",
      { max_inbound_window_update_frames_per_data_frame_sent: { value: 0 } },
    ],
  ])("refuse %s of 0", async (path, options) => {
    await expect(startTestServer(http2(options))).rejects.toThrow(path);
  });
});

describe("an answer before the request has ended", () => {
  it("ends the stream without an error", async () => {
    const { lines, server } = await talk({}, post(1), frame(data, 0, 1, "abc"));
    await expect.poll(() => lines.at(-1)).toBe("RST 0 1 0");
    expect(lines.at(-2)).toBe("DATA 1 1 ok");
    expect(server.stat("http.test.downstream_rq_2xx")).toBe(1);
    expect(server.stat("http.test.downstream_rq_rx_reset")).toBe(0);
  });

  it("is no end of the connection for what comes on it afterwards", async () => {
    const { lines, socket } = await talk({}, post(1));
    await expect.poll(() => lines.at(-1)).toBe("RST 0 1 0");
    socket.write(Buffer.concat([frame(data, 0, 1, "late"), frame(headers, 5, 1, block("x", "1")), ask(3)]));
    await expect.poll(() => lines.at(-1)).toBe("DATA 1 3 ok");
  });
});

describe("trailers of requests", () => {
  it("get to the filters, and are counted", async () => {
    let seen: string | undefined;
    const { lines, server } = await talk(
      {
        handle: ({ request }) =>
          new Promise((resolve) => {
            request.body?.pipe({
              write: () => true,
              end(trailers) {
                seen = trailers?.get("x-sum");
                resolve({ status: 204, headers: new HeaderList(), body: undefined });
              },
              abort: () => undefined,
            });
          }),
      },
      post(1),
      frame(data, 0, 1, "abc"),
      frame(headers, 5, 1, block("x-sum", "6")),
    );
    await expect.poll(() => lines.at(-1)).toMatch(/^HEADERS 5 1 :status 204/);
    expect(seen).toBe("6");
    expect(server.stat("http2.trailers")).toBe(1);
  });
});

describe("time limits", () => {
  it("answer a request whose head never ends", async () => {
    const time = new TestClock();
    const { server, lines, socket } = await talk(
      { clock: time, wire: { request_headers_timeout: duration(1_000) } },
      frame(headers, 1, 1, fields("/")),
      frame(frameTypes.continuation, 0, 1, block("x", "1")),
    );
    await expect.poll(() => lines.length).toBeGreaterThanOrEqual(3);
    time.advance(1_300);
    time.advance(1_300);
    await expect.poll(() => lines.at(-1)).toBe("RST 0 1 0");
    expect(lines.slice(-3)).toEqual([
      expect.stringMatching(/^HEADERS 4 1 :status 408 /),
      "DATA 1 1 request header timeout",
      "RST 0 1 0",
    ]);
    expect(server.stat("http.test.downstream_rq_header_timeout")).toBe(1);
    socket.write(Buffer.concat([frame(frameTypes.continuation, 4, 1, block("y", "1")), ask(3)]));
    await expect.poll(() => lines.at(-1)).toBe("DATA 1 3 ok");
    expect(server.seen).toEqual(["POST a /"]);
  });

  it("end a connection that does not answer PINGs, and leave one that does", async () => {
    const time = new TestClock();
    const keepalive = { interval: duration(1_000), timeout: duration(500) };
    const options = { clock: time, ...http2({ connection_keepalive: keepalive }) };
    const { server, lines, socket } = await talk(options);
    await expect.poll(() => lines.length).toBeGreaterThanOrEqual(3);
    time.advance(1_000);
    await expect.poll(() => lines.at(-1)).toMatch(/^PING 0 0 /);
    socket.write(Buffer.concat([frame(ping, 1, 0, "meltemi-"), ask(1)]));
    await expect.poll(() => lines.at(-1)).toBe("DATA 1 1 ok");
    time.advance(600);
    expect(server.stat("http2.keepalive_timeout")).toBe(0);
    time.advance(400);
    await expect.poll(() => lines.at(-1)).toMatch(/^PING 0 0 /);
    time.advance(600);
    expect(server.stat("http2.keepalive_timeout")).toBe(1);
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
  });

  it("end a client that does not close, after delayed_close_timeout", async () => {
    const time = new TestClock();
    const { server, lines, socket } = await talk({ clock: time }, ask(2));
    await expect.poll(() => lines.at(-1)).toMatch(/^GOAWAY 0 0 0 1 /);
    socket.write(Buffer.alloc(100_000));
    time.advance(2_000);
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
    expect(server.stat("http.test.downstream_cx_delayed_close_timeout")).toBeLessThanOrEqual(1);
  });
});

describe("a client that reads nothing", () => {
  it("holds back the answers, and the proxy's memory", async () => {
    let taken = 0;
    const large = Buffer.alloc(65_536);
    const { server, socket } = await talk(
      {
        handle: async () => ({
          status: 200,
          headers: new HeaderList(),
          body: {
            pipe(sink) {
              const more = (): void => {
                let takesMore = true;
                for (; takesMore && taken < 100_000_000; taken += large.length) takesMore = sink.write(large);
              };
              this.resume = more;
              more();
            },
            resume: () => undefined,
            cancel: () => undefined,
          },
        }),
      },
      frame(settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(2 ** 31 - 1)])),
      frame(8, 0, 0, uint32(2 ** 30)),
    );
    socket.pause();
    for (let id = 1; id < 20; id += 2) socket.write(ask(id));
    await expect.poll(() => server.seen.length).toBe(10);
    await expect.poll(() => server.connections[0]?.stream.writableNeedDrain).toBe(true);
    // What the kernel takes on its own is some megabytes.
    expect(taken).toBeLessThan(30_000_000);
    socket.write(frame(reset, 0, 1, uint32(8)));
    socket.resume();
    await expect.poll(() => taken).toBeGreaterThan(60_000_000);
  });
});

describe("a body that nobody reads yet", () => {
  it("waits in the proxy up to the window, in order, however small its pieces are", async () => {
    let resume: () => void = () => undefined;
    const read: string[] = [];
    const { server, socket, lines } = await talk(
      {
        wire: { http2_protocol_options: { initial_stream_window_size: { value: 100_000 } } },
        handle: ({ request }) =>
          new Promise((resolve) => {
            resume = () =>
              request.body?.pipe({
                write: (chunk) => {
                  read.push(Buffer.from(chunk).toString("latin1"));
                  // Says that it has enough now and then, and goes on a moment later.
                  if (read.length % 3 !== 0) return true;
                  setImmediate(() => request.body?.resume());
                  return false;
                },
                end: () => resolve({ status: 204, headers: new HeaderList(), body: undefined }),
                abort: () => undefined,
              });
          }),
      },
      post(1),
    );
    const pieces = Array.from({ length: 2_500 }, (_, index) =>
      String(index).padStart(index % 40 === 0 ? 1_000 : 10, "."),
    );
    const whole = pieces.join("");
    expect(whole.length).toBeLessThan(100_000);
    for (const piece of pieces) socket.write(frame(data, 0, 1, piece));
    socket.write(frame(data, 1, 1));
    await expect.poll(() => server.seen.length).toBe(1);
    socket.write(frame(ping, 0, 0, "12345678"));
    await expect.poll(() => lines.at(-1)).toMatch(/^PING 1 0/);
    // What the proxy keeps without a reader is 64 KiB; only for that the window is opened again.
    expect(lines.filter((line) => line.startsWith("WINDOW 0 1 ")).length).toBeLessThanOrEqual(1);
    resume();
    await expect.poll(() => lines.at(-1)).toMatch(/^HEADERS 5 1 :status 204/);
    expect(read.join("")).toBe(whole);
    expect(read.length).toBeLessThan(200);
  });
});
