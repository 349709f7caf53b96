/** What hosts answer in frames that no library writes. */
import { createServer, type Socket } from "node:net";
import { frameFlags, frameTypes } from "@meltemi/http2/frame-types";
import { block, FrameLog, frame, setting, uint32 } from "@meltemi/http2/test-session";
import { describe, expect, it } from "vitest";
import {
  closeAfterTest,
  createHost,
  createRequest,
  listen,
  openPoolRig,
  type PoolRig,
  readText,
  until,
} from "../../../test/support/pool-rig.ts";
import { bodyOf, collect } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import type { PendingRequest, UpstreamError } from "../types.ts";

const { data, headers, settings, ping, goaway, windowUpdate, reset, pushPromise } = frameTypes;
const endHeaders = frameFlags.endHeaders;
const endAll = frameFlags.endHeaders | frameFlags.endStream;
const prefaceBytes = 24;

interface RawServer {
  readonly port: number;
  readonly log: FrameLog;
  send(...frames: readonly Buffer[]): void;
}

/** Says what it is told to, and lets read what came. */
async function serveRaw(first: Buffer = frame(settings, 0, 0)): Promise<RawServer> {
  const log = new FrameLog();
  const sockets: Socket[] = [];
  const server = await listen(
    createServer((socket) => {
      let skip = prefaceBytes;
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        log.add(chunk.subarray(skip));
        skip = Math.max(0, skip - chunk.length);
      });
      socket.write(first);
    }),
  );
  closeAfterTest(server);
  return {
    port: server.port,
    log,
    send: (...frames) => void sockets.at(-1)?.write(Buffer.concat(frames)),
  };
}

interface Asked {
  readonly server: RawServer;
  readonly rig: PoolRig;
  readonly pending: PendingRequest;
}

async function ask(http2: object = {}, request: Parameters<typeof createRequest>[0] = {}): Promise<Asked> {
  const server = await serveRaw();
  const rig = openPoolRig({ http2_protocol_options: http2 });
  const pending = rig.pools.send(createHost(server.port), createRequest(request), "DEFAULT");
  pending.response.catch(() => undefined);
  await until(() => server.log.lines.some((line) => line.startsWith("HEADERS")));
  return { server, rig, pending };
}

/** The answer as text, or what went wrong. */
async function readAnswer({ pending }: Asked): Promise<string> {
  try {
    const { status, body } = await pending.response;
    return `${status} ${await readText(body)}`;
  } catch (cause: unknown) {
    return (cause as UpstreamError).failure;
  }
}

const head = (flags: number, ...raw: readonly string[]): Buffer => frame(headers, flags, 1, block(...raw));
const ok = head(endHeaders, ":status", "200");

describe("an answer", () => {
  it.each<readonly [string, string, readonly Buffer[]]>([
    ["in one piece", "200 ab", [ok, frame(data, 1, 1, "ab")]],
    ["in several", "200 abc", [ok, frame(data, 0, 1, "a"), frame(data, 0, 1, "b"), frame(data, 1, 1, "c")]],
    ["with padding", "200 ab", [ok, frame(data, 9, 1, "\x02ab\0\0")]],
    ["of a head alone", "204 ", [head(endAll, ":status", "204")]],
    [
      "with a length that is right",
      "200 ab",
      [head(endHeaders, ":status", "200", "content-length", "2"), frame(data, 1, 1, "ab")],
    ],
    ["with information before it", "200 ", [head(endHeaders, ":status", "103"), head(endAll, ":status", "200")]],
    ["with trailers", "200 a", [ok, frame(data, 0, 1, "a"), head(endAll, "x", "1")]],
    [
      "after a PING's answer that nobody asked for",
      "200 ",
      [frame(ping, 1, 0, "12345678"), head(endAll, ":status", "200")],
    ],
    ["after a frame of an unknown type", "200 ", [frame(0x20, 0, 1, "x"), head(endAll, ":status", "200")]],
  ])("%s is taken", async (_what, expected, frames) => {
    const asked = await ask();
    asked.server.send(...frames);
    expect(await readAnswer(asked)).toBe(expected);
    await until(() => asked.rig.stats.read("upstream_rq_active") === 0);
    expect(asked.rig.stats.read("upstream_cx_protocol_error")).toBe(0);
  });

  it("is counted by the bytes of its frames, and so is the request", async () => {
    const asked = await ask();
    const frames = [ok, frame(data, 1, 1, "ab")];
    asked.server.send(...frames);
    await readAnswer(asked);
    const { stats } = asked.rig;
    expect(stats.read("upstream_cx_rx_bytes_total")).toBe(9 + Buffer.concat(frames).length);
    // The preface, SETTINGS, WINDOW_UPDATE and the request's head at least.
    expect(stats.read("upstream_cx_tx_bytes_total")).toBeGreaterThan(prefaceBytes + 3 * 9);
  });
});

const malformed: readonly (readonly [string, readonly Buffer[]])[] = [
  ["no status", [head(endAll, "x", "1")]],
  ["a status behind a header", [head(endAll, "x", "1", ":status", "200")]],
  ["two statuses", [head(endAll, ":status", "200", ":status", "200")]],
  ["a status that is none", [head(endAll, ":status", "20")]],
  ["a pseudo header of requests", [head(endAll, ":status", "200", ":path", "/")]],
  ["101", [head(endAll, ":status", "101")]],
  ["information that ends the stream", [head(endAll, ":status", "103")]],
  ["a name in capitals", [head(endAll, ":status", "200", "X", "1")]],
  ["a name that is none", [head(endAll, ":status", "200", "x y", "1")]],
  ["an empty name", [head(endAll, ":status", "200", "", "1")]],
  ["a value with a line end", [head(endAll, ":status", "200", "x", "1\r\ny: 2")]],
  ["a value with NUL", [head(endAll, ":status", "200", "x", "\0")]],
  ["a header of connections", [head(endAll, ":status", "200", "transfer-encoding", "chunked")]],
  ["a length that is none", [head(endHeaders, ":status", "200", "content-length", "+1"), frame(data, 1, 1, "a")]],
  ["two lengths", [head(endHeaders, ":status", "200", "content-length", "1", "content-length", "2")]],
  ["content before a head", [frame(data, 1, 1, "a")]],
];

const malformedLater: readonly (readonly [string, readonly Buffer[]])[] = [
  ["a second head", [ok, head(endHeaders, ":status", "200")]],
  ["a pseudo header in trailers", [ok, head(endAll, ":status", "200")]],
  ["a trailer with a line end", [ok, head(endAll, "x", "1\n2")]],
];

describe("an answer that breaks the rules", () => {
  it.each([...malformed, ...malformedLater])("costs the connection: %s", async (_what, frames) => {
    const asked = await ask();
    asked.server.send(...frames);
    expect(await readAnswer(asked)).toBe("protocol-error");
    await until(() => asked.rig.stats.read("upstream_cx_active") === 0);
    await until(() => asked.server.log.lines.some((line) => line.startsWith("GOAWAY 0 0 0 1")));
    expect(asked.rig.stats.read("upstream_cx_protocol_error")).toBe(1);
  });

  it.each([...malformed, ...malformedLater])(
    "costs its stream alone where it is configured so: %s",
    async (_what, frames) => {
      const asked = await ask({ override_stream_error_on_invalid_http_message: { value: true } });
      asked.server.send(...frames);
      expect(await readAnswer(asked)).toBe("protocol-error");
      await until(() => asked.server.log.lines.includes("RST 0 1 1"));
      expect(asked.rig.stats.read("upstream_cx_active")).toBe(1);
    },
  );

  it.each([
    ["longer", [frame(data, 1, 1, "abc")]],
    ["shorter", [frame(data, 1, 1, "a")]],
    ["shorter, with trailers", [frame(data, 0, 1, "a"), head(endAll, "x", "1")]],
  ])("costs its stream alone: content that is %s than its length", async (_what, frames) => {
    const asked = await ask();
    asked.server.send(head(endHeaders, ":status", "200", "content-length", "2"), ...frames);
    expect(await readAnswer(asked)).toBe("protocol-error");
    await until(() => asked.server.log.lines.includes("RST 0 1 1"));
    expect(asked.rig.stats.read("upstream_cx_active")).toBe(1);
  });

  it("costs its stream alone: a head that is too large", async () => {
    const asked = await ask();
    const many = Array.from({ length: 700 }, (_, index) => [`x-${index}`, "y".repeat(100)]).flat();
    const whole = block(":status", "200", ...many);
    const frames = [frame(headers, 0, 1, whole.subarray(0, 16_384))];
    for (let at = 16_384; at < whole.length; at += 16_384) {
      frames.push(
        frame(
          frameTypes.continuation,
          at + 16_384 >= whole.length ? endHeaders : 0,
          1,
          whole.subarray(at, at + 16_384),
        ),
      );
    }
    asked.server.send(...frames);
    expect(await readAnswer(asked)).toBe("protocol-error");
    expect(asked.rig.stats.read("upstream_cx_active")).toBe(1);
  });

  it.each([
    ["a push", frame(pushPromise, endHeaders, 1, Buffer.concat([uint32(2), block(":method", "GET")]))],
    ["a head of an own stream", frame(headers, endAll, 2, block(":status", "200"))],
    ["a head of a stream that nobody began", frame(headers, endAll, 7, block(":status", "200"))],
    ["a reset of a stream that nobody began", frame(reset, 0, 7, uint32(8))],
  ])("costs the connection: %s", async (_what, bytes) => {
    const asked = await ask();
    asked.server.send(bytes);
    expect(await readAnswer(asked)).toBe("protocol-error");
    expect(asked.rig.stats.read("upstream_cx_protocol_error")).toBe(1);
  });
});

describe("a request", () => {
  it("goes elsewhere where a goodbye leaves it out", async () => {
    const asked = await ask();
    asked.server.send(frame(goaway, 0, 0, Buffer.concat([uint32(0), uint32(0)])));
    const cause = (await asked.pending.response.catch((error: unknown) => error)) as UpstreamError;
    expect([cause.failure, cause.isSent]).toEqual(["refused-stream", false]);
  });

  it("is answered where a goodbye names it", async () => {
    const asked = await ask();
    asked.server.send(frame(goaway, 0, 0, Buffer.concat([uint32(1), uint32(0)])), ok, frame(data, 1, 1, "a"));
    expect(await readAnswer(asked)).toBe("200 a");
    await until(() => asked.rig.stats.read("upstream_cx_active") === 0);
    expect(asked.rig.stats.read("upstream_cx_close_notify")).toBe(1);
  });

  it("keeps to the windows that the server gives", async () => {
    const server = await serveRaw(frame(settings, 0, 0, setting(4, 4)));
    const rig = openPoolRig({ http2_protocol_options: {} });
    const host = createHost(server.port);
    // The window is known once something was answered.
    const first = rig.pools.send(host, createRequest(), "DEFAULT");
    await until(() => server.log.lines.some((line) => line.startsWith("SETTINGS 1")));
    server.send(head(endAll, ":status", "204"));
    await first.response;
    const second = rig.pools.send(
      host,
      createRequest({ method: "POST", body: bodyOf(Buffer.from("abcdefgh")) }),
      "DEFAULT",
    );
    await until(() => server.log.lines.includes("DATA 0 3 abcd"));
    server.send(frame(windowUpdate, 0, 3, uint32(3)));
    await until(() => server.log.lines.includes("DATA 0 3 efg"));
    server.send(frame(windowUpdate, 0, 3, uint32(1)));
    await until(() => server.log.lines.includes("DATA 1 3 h"));
    server.send(frame(headers, endAll, 3, block(":status", "204")));
    expect((await second.response).status).toBe(204);
  });

  it("sends its trailers, and none that HTTP/2 cannot carry", async () => {
    const send = (value: string): Promise<Asked> =>
      ask({}, { method: "POST", body: bodyOf(Buffer.from("a"), new HeaderList(["x-t", value])) });
    const good = await send("1");
    await until(() => good.server.log.lines.includes("HEADERS 5 1 x-t 1"));
    const bad = await send("1\n2");
    expect(await readAnswer(bad)).toBe("local-reset");
    await until(() => bad.server.log.lines.includes("RST 0 1 8"));
  });

  it("is not sent where its head is none", async () => {
    const server = await serveRaw();
    const rig = openPoolRig({ http2_protocol_options: {} });
    const request = createRequest({ headers: new HeaderList(["x", "1\r\ny: 2"]) });
    const cause = await rig.pools
      .send(createHost(server.port), request, "DEFAULT")
      .response.catch((error: unknown) => error);
    expect((cause as UpstreamError).failure).toBe("protocol-error");
    expect(server.log.lines.filter((line) => line.startsWith("HEADERS"))).toEqual([]);
    await until(() => rig.stats.read("upstream_rq_active") === 0);
  });
});

it("gives back the window of what is thrown away", async () => {
  const asked = await ask({ initial_connection_window_size: { value: 65_535 } });
  asked.server.send(ok);
  const { body } = await asked.pending.response;
  asked.server.send(...Array.from({ length: 3 }, () => frame(data, 0, 1, "x".repeat(16_000))));
  await until(() => asked.rig.stats.read("upstream_cx_rx_bytes_total") > 48_000);
  body?.cancel();
  await until(() => asked.server.log.lines.includes("RST 0 1 8"));
  await until(() => asked.server.log.lines.includes("WINDOW 0 0 48000"));
});

it("takes what a slow reader is given, and then its end", async () => {
  const asked = await ask();
  asked.server.send(ok, frame(data, 0, 1, "abc"), head(endAll, "x-t", "1"));
  const { body } = await asked.pending.response;
  expect(asked.rig.stats.read("upstream_rq_active")).toBe(1);
  if (body === undefined) throw new Error("no body");
  const { bytes, trailers } = await collect(body, 10);
  expect([Buffer.from(bytes).toString(), trailers?.raw]).toEqual(["abc", ["x-t", "1"]]);
  await until(() => asked.rig.stats.read("upstream_rq_active") === 0);
});
