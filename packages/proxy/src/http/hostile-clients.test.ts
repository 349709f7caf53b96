/** Clients that cost more than they are worth, over sockets: what ends them, and that nothing of them is left. */
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import {
  buildFrame,
  buildPreface,
  encodeGet,
  encodeString,
  endHeaders,
  endStream,
} from "../../test/support/http2-frames.ts";
import { HeaderList } from "./header-list.ts";
import { openSocket, startTestServer, type TestServer, type TestServerOptions } from "./test-server.ts";

const servers: TestServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.close();
});

async function start(
  options: TestServerOptions = {},
): Promise<{ readonly server: TestServer; readonly socket: Socket }> {
  const server = await startTestServer(options);
  servers.push(server);
  const socket = await openSocket(server.port);
  socket.on("error", () => undefined);
  socket.resume();
  sockets.push(socket);
  return { server, socket };
}

const open = (stream: number, block: Buffer): Buffer =>
  buildFrame({ type: "headers", flags: endHeaders | endStream, stream, payload: block });
const cancel = (stream: number): Buffer => buildFrame({ type: "reset", stream, payload: Buffer.from([0, 0, 0, 8]) });
const get = encodeGet("/");
const bomb = Buffer.concat([
  get,
  Buffer.from([0x40]),
  encodeString("x-bomb"),
  encodeString("a".repeat(3_900)),
  Buffer.alloc(8_000, 0x80 | 62),
]);

/** Writes `frame` until the other side ends the connection; false where it does not. */
async function flood(socket: Socket, next: (index: number) => Buffer): Promise<boolean> {
  const isOver = new Promise<boolean>((resolve) => socket.once("close", () => resolve(true)));
  for (let index = 0; index < 20_000 && !socket.destroyed; index++) {
    if (socket.write(next(index))) continue;
    await Promise.race([isOver, new Promise((resolve) => socket.once("drain", resolve))]);
  }
  socket.end();
  return await isOver;
}

describe("floods of HTTP/2", () => {
  const repeat = (frame: Buffer) => (): Buffer => Buffer.concat(Array.from({ length: 100 }, () => frame));
  it.each<readonly [string, string, (index: number) => Buffer]>([
    [
      "WINDOW_UPDATE",
      "http2.inbound_window_update_frames_flood",
      repeat(buildFrame({ type: "windowUpdate", payload: Buffer.from([0, 0, 0, 1]) })),
    ],
    [
      "PRIORITY",
      "http2.inbound_priority_frames_flood",
      repeat(buildFrame({ type: "priority", stream: 1, payload: Buffer.from([0, 0, 0, 3, 1]) })),
    ],
    [
      "frames that nobody knows",
      "http.test.downstream_cx_protocol_error",
      repeat(Buffer.from("000004fa0000000000ffffffff", "hex")),
    ],
    ["heads that unfold", "http.test.downstream_cx_protocol_error", (index) => open(1 + 2 * index, bomb)],
  ])("ends a flood of %s", async (_what, statistic, next) => {
    const { server, socket } = await start();
    socket.write(buildPreface());
    await flood(socket, next);
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
    expect(server.stat(statistic)).toBe(1);
    expect(server.stat("http.test.downstream_cx_destroy_local")).toBe(1);
  });

  it("answers each of many PINGs whose answers are read", async () => {
    const { socket } = await start();
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    socket.write(buildPreface());
    await expect.poll(() => bytes).toBeGreaterThan(0);
    const [pings, ping] = [500, buildFrame({ type: "ping", payload: Buffer.alloc(8) })];
    for (let round = 1; round <= 5; round++) {
      const before = bytes;
      socket.write(Buffer.concat(Array.from({ length: pings }, () => ping)));
      await expect.poll(() => bytes).toBe(before + pings * ping.length);
    }
  });

  it("does not begin what is reset in the same breath, and ends the connection", async () => {
    const { server, socket } = await start({ handle: () => new Promise(() => undefined) });
    const streams = Array.from({ length: 400 }, (_, index) => [open(1 + 2 * index, get), cancel(1 + 2 * index)]);
    socket.write(Buffer.concat([buildPreface(), ...streams.flat()]));
    await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
    expect(server.seen.length).toBeLessThan(50);
    expect(server.stat("http.test.downstream_rq_too_many_premature_resets")).toBe(1);
    expect(server.stat("http.test.downstream_rq_rx_reset")).toBeGreaterThanOrEqual(250);
    expect(server.stat("http.test.downstream_rq_active")).toBe(0);
  });

  it("answers what is not reset among much that is", async () => {
    const { server, socket } = await start({
      handle: ({ request: { path } }) =>
        path === "/"
          ? new Promise(() => undefined)
          : Promise.resolve({ status: 204, headers: new HeaderList([]), body: undefined }),
    });
    const resets = Array.from({ length: 30 }, (_, index) => [open(1 + 2 * index, get), cancel(1 + 2 * index)]);
    const good = Array.from({ length: 5 }, (_, index) => open(101 + 2 * index, encodeGet(`/${index}`)));
    socket.write(Buffer.concat([buildPreface(), ...resets.flat(), ...good]));
    await expect.poll(() => server.stat("http.test.downstream_rq_2xx")).toBe(5);
    expect(server.stat("http.test.downstream_rq_rx_reset")).toBe(30);
  });
});

it("begins the requests of one client some at a time, in their order", async () => {
  const turns: string[][] = [];
  let ofTurn: string[] | undefined;
  const { server, socket } = await start({
    handle: ({ request: { path } }) => {
      if (ofTurn === undefined) {
        ofTurn = [];
        turns.push(ofTurn);
        setImmediate(() => {
          ofTurn = undefined;
        });
      }
      ofTurn.push(path);
      return Promise.resolve({ status: 204, headers: new HeaderList([]), body: undefined });
    },
  });
  const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
  socket.write(Buffer.concat([buildPreface(), ...paths.map((path, index) => open(1 + 2 * index, encodeGet(path)))]));
  await expect.poll(() => server.stat("http.test.downstream_rq_2xx")).toBe(50);
  expect(turns.flat()).toEqual(paths);
  expect(Math.max(...turns.map(({ length }) => length))).toBe(8);
});

it("takes the end of an HTTP/2 connection for the end of its requests", async () => {
  const { server, socket } = await start({ handle: () => new Promise(() => undefined) });
  socket.write(Buffer.concat([buildPreface(), open(1, get)]));
  await expect.poll(() => server.stat("http.test.downstream_rq_active")).toBe(1);
  socket.end();
  await expect.poll(() => server.stat("http.test.downstream_cx_http2_active")).toBe(0);
  expect(server.stat("http.test.downstream_rq_active")).toBe(0);
});

it("does not read all of what comes after a refusal", async () => {
  const { server, socket } = await start();
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Endless: `);
  await flood(socket, () => Buffer.alloc(16_384, "a"));
  await expect.poll(() => server.stat("http.test.downstream_cx_active")).toBe(0);
  // Two megabytes at most, of the hundreds that were sent: one is read, another may be on its way within the process.
  expect(server.stat("http.test.downstream_cx_rx_bytes_total")).toBeLessThan(2 * 1024 * 1024);
});
