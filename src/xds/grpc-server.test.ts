import { constants } from "node:http2";
import { createServer } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { openUnread } from "../../test/support/xds-client.ts";
import { systemClock } from "../lib/clock.ts";
import { type Log, silentLog } from "../lib/log.ts";
import { createGrpcTransport, defaultGrpcLimits } from "./grpc-server.ts";
import type { StreamPort, StreamService, Transport } from "./transport.ts";

/** A transport whose streams are handed to `onStream` and never answered by themselves. */
function createTransport(log: Log, onStream: (port: StreamPort) => void): Transport {
  const service: StreamService = {
    authenticate: async () => undefined,
    admit: () => ({ kind: "now" }),
    accept: (port) => {
      onStream(port);
      return { handleMessage: () => undefined, handleEnd: () => undefined, handleClosed: () => undefined };
    },
    isServing: () => true,
  };
  const transport = createGrpcTransport({ limits: defaultGrpcLimits, clock: systemClock, log }, service);
  onTestFinished(() => transport.stop(0));
  return transport;
}

test("a dead peer is noticed within 40 seconds", () => {
  const { keepaliveIntervalMs, keepaliveTimeoutMs } = defaultGrpcLimits;
  expect(keepaliveIntervalMs + keepaliveTimeoutMs).toBeLessThanOrEqual(40_000);
});

test("a stream whose client does not read is reset", async () => {
  const errors: string[] = [];
  const ports: StreamPort[] = [];
  const transport = createTransport({ ...silentLog, error: (text) => errors.push(text) }, (port) => ports.push(port));
  const unread = openUnread(await transport.listen("127.0.0.1:0"), "delta", [{}]);
  onTestFinished(() => unread.close());
  await vi.waitFor(() => expect(ports).toHaveLength(1));
  ports[0]?.write(new Uint8Array(10_000_000), () => errors.push("written"));
  ports[0]?.end({ code: "DEADLINE_EXCEEDED", details: "not read" });
  expect(await unread.closed).toBe(constants.NGHTTP2_CANCEL);
  expect(errors).toEqual([]);
});

test("a port that is taken rejects", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void taken.close());
  await vi.waitFor(() => expect(taken.listening).toBe(true));
  const bound = taken.address();
  const port = bound !== null && typeof bound === "object" ? bound.port : 0;
  const transport = createTransport(silentLog, () => undefined);
  await expect(transport.listen(`127.0.0.1:${port}`)).rejects.toThrow("EADDRINUSE");
});
