/** Any frames in any pieces: a session never throws, always ends or goes on, and does the same however they are cut. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { clientPreface } from "./frame-types.ts";
import { block, createTestSession, frame, setting, type TestSession, testOptions, uint32 } from "./test-session.ts";

const get = block(":method", "GET", ":path", "/");
const ids = fc.constantFrom(0, 1, 1, 1, 3, 3, 5, 7, 2, 2 ** 31 - 1);
const someFlags = fc.constantFrom(0, 1, 4, 5, 8, 9, 0x20, 0x25, 0xff);
const sizes = fc.constantFrom(0, 1, 2, 100, 16_384, 16_385);

/** Frames that a peer could send, and those that none should. */
const frames = fc.oneof(
  { weight: 6, arbitrary: ids.map((id) => frame(1, 5, id, get)) },
  { weight: 6, arbitrary: ids.map((id) => frame(1, 4, id, get)) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(ids, sizes, fc.constantFrom(0, 1))
      .map(([id, size, end]) => frame(0, end, id, "x".repeat(size))),
  },
  { weight: 2, arbitrary: fc.tuple(ids, fc.string({ maxLength: 20 })).map(([id, text]) => frame(0, 8, id, text)) },
  { weight: 2, arbitrary: ids.map((id) => frame(1, 5, id, block("x-trailer", "1"))) },
  { weight: 2, arbitrary: ids.map((id) => Buffer.concat([frame(1, 1, id, get), frame(9, 4, id, block("x", "1"))])) },
  { weight: 2, arbitrary: fc.tuple(ids, fc.nat()).map(([id, code]) => frame(3, 0, id, uint32(code))) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 8, 99), fc.constantFrom(0, 1, 16_384, 65_535, 2 ** 32 - 1))
      .map(([id, value]) => frame(4, 0, 0, setting(id, value))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(ids, fc.constantFrom(0, 1, 1_000, 2 ** 31 - 1)).map(([id, by]) => frame(8, 0, id, uint32(by))),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      frame(6, 0, 0, "12345678"),
      frame(6, 1, 0, "12345678"),
      frame(4, 1, 0),
      frame(7, 0, 0, "12345678"),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(255), someFlags, ids, fc.uint8Array({ maxLength: 40 }))
      .map(([type, flags, id, bytes]) => frame(type, flags, id, bytes)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)) },
);

/** A server that answers each head at once, and passes content back. */
function startEcho(): TestSession {
  // Larger than all that comes: how soon a window is opened again depends on the pieces.
  const settings = { ...testOptions.settings, initialWindowSize: 1_048_576 };
  const test: TestSession = createTestSession({ settings, connectionWindow: 4_194_304 }, (stream) => {
    stream.sendHead([":status", "200"], false);
    if (stream.isRemoteEnded) stream.end(["x-done", "1"]);
    const { handler } = stream;
    if (handler === undefined) return;
    const { onData, onEnd, onHeaders } = handler;
    handler.onData = (bytes) => {
      onData(bytes);
      stream.send(Buffer.from(bytes));
    };
    handler.onEnd = () => {
      onEnd();
      stream.end();
    };
    handler.onHeaders = (raw) => {
      onHeaders(raw);
      if (stream.isRemoteEnded) stream.end(raw);
      else stream.reset(1);
    };
  });
  return test;
}

/** What was told, and what was sent, with the pieces of content added up: how they are cut is nobody's concern. */
function summarize({ told, log }: TestSession): readonly string[] {
  const lines: string[] = [];
  const bytes = new Map<string, number>();
  const add = (key: string, text: string): void => {
    bytes.set(key, (bytes.get(key) ?? 0) + (/^#\d+$/.test(text) ? Number(text.slice(1)) : text.length));
  };
  for (const line of told) {
    const data = /^(\d+) data (.*)$/s.exec(line);
    if (data === null) lines.push(`${line} after ${bytes.get(line.split(" ")[0] ?? "") ?? 0}`);
    else add(data[1] ?? "", data[2] ?? "");
  }
  for (const line of log.lines) {
    const data = /^DATA [01] (\d+) (.*)$/s.exec(line);
    if (data === null) lines.push(line);
    else add(`sent on ${data[1]}`, data[2] ?? "");
  }
  return [...lines, ...[...bytes].map(([key, count]) => `${key}: ${count}`).sort()];
}

it("does the same with any frames in whatever pieces they come", () => {
  fc.assert(
    fc.property(
      fc.array(frames, { maxLength: 25 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
      (list, cuts) => {
        const bytes = Buffer.concat([clientPreface, frame(4, 0, 0), ...list]);
        const whole = startEcho();
        whole.session.feed(bytes);
        const cut = startEcho();
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = cuts[turn % cuts.length] ?? 1;
          cut.session.feed(bytes.subarray(at, at + size));
          at += size;
        }
        for (const { session } of [whole, cut]) for (let turn = 0; turn < 20; turn++) session.flush();
        expect(summarize(cut)).toEqual(summarize(whole));
        // Nothing is left where the connection has ended, and all ends with the session.
        if (whole.session.isOver) expect(whole.session.openStreams).toBe(0);
        cut.session.destroy();
        expect(cut.session.openStreams).toBe(0);
        expect(cut.session.waitingBytes).toBe(0);
      },
    ),
    { numRuns: 300, seed: 7 },
  );
});
