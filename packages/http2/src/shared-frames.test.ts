import { describe, expect, it } from "vitest";
import { clientPreface, frameTypes } from "./frame-types.ts";
import { SharedFrames } from "./shared-frames.ts";
import { block, createTestSession, frame, setting, type TestSession, uint32 } from "./test-session.ts";

const { headers, settings, windowUpdate } = frameTypes;
const ask = frame(headers, 5, 1, block(":method", "POST", ":path", "/"));
const initialWindow = 4;

/** A session with a request on stream 1, whose answer may have so many bytes. */
function open(window: number): TestSession {
  const test = createTestSession();
  const wide = frame(windowUpdate, 0, 0, uint32(10_000_000));
  test.feed(clientPreface, frame(settings, 0, 0, setting(initialWindow, window)), wide, ask);
  test.streams.get(1)?.sendHead([":status", "200"], false);
  return test;
}

/** Content of the DATA frames that came out. */
function dataOf({ log }: TestSession): readonly string[] {
  return log.lines.filter((line) => line.startsWith("DATA"));
}

const text = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => 65 + (index % 26)));

describe("content in frames", () => {
  it.each([
    ["nothing", 0, []],
    ["a byte", 1, ["DATA 0 1 A"]],
    ["a frame to the last byte", 16_384, ["DATA 0 1 #16384"]],
    ["a byte more", 16_385, ["DATA 0 1 #16384", "DATA 0 1 E"]],
    ["many frames", 50_000, ["DATA 0 1 #16384", "DATA 0 1 #16384", "DATA 0 1 #16384", "DATA 0 1 #848"]],
  ])("goes out as it would without them: %s", (_what, length, lines) => {
    const test = open(1_000_000);
    test.streams.get(1)?.sendShared(new SharedFrames(1, [text(length)]));
    test.feed();
    expect(dataOf(test)).toEqual(lines);
  });

  it.each([1, 9, 16_383, 16_384, 16_385, 20_000, 32_768])(
    "is what its parts are, however the window of %i bytes cuts it",
    (window) => {
      const parts = [text(5), text(40_000), text(3)];
      const whole = Buffer.concat(parts);
      const frames = new SharedFrames(1, parts);
      expect(frames.length).toBe(whole.length);
      const pieces: Buffer[] = [];
      for (let at = 0; at < frames.length; ) {
        const most = Math.min(window, frames.length - at);
        const length = frames.wholeLength(at, most);
        if (length === 0) pieces.push(frames.cutContent(at, most));
        else {
          const bytes = frames.cutFrames(at, length);
          expect(bytes.length).toBe(length + 9 * SharedFrames.countFrames(length));
          for (let place = 0; place < bytes.length; ) {
            const end = place + 9 + bytes.readUIntBE(place, 3);
            expect([bytes[place + 3], bytes[place + 4], bytes.readUInt32BE(place + 5)]).toEqual([0, 0, 1]);
            pieces.push(bytes.subarray(place + 9, end));
            place = end;
          }
        }
        at += length === 0 ? (pieces.at(-1)?.length ?? 0) : length;
      }
      expect(Buffer.concat(pieces).equals(whole)).toBe(true);
    },
  );

  it("waits for the window, and ends behind its last byte", () => {
    const test = open(20_000);
    const stream = test.streams.get(1);
    stream?.sendShared(new SharedFrames(1, [text(40_000)]));
    stream?.end(["x", "1"]);
    test.feed();
    expect(dataOf(test)).toEqual(["DATA 0 1 #16384", "DATA 0 1 #3616"]);
    test.feed(frame(windowUpdate, 0, 1, uint32(16_384)));
    expect(dataOf(test).slice(2)).toEqual(["DATA 0 1 #12768", "DATA 0 1 #3616"]);
    test.feed(frame(windowUpdate, 0, 1, uint32(100_000)));
    expect(test.log.lines.slice(-2)).toEqual(["DATA 0 1 #3616", "HEADERS 5 1 x 1"]);
    expect(dataOf(test)).toHaveLength(5);
  });

  it("is not sent on another stream", () => {
    const test = open(100);
    expect(() => test.streams.get(1)?.sendShared(new SharedFrames(3, [text(1)]))).toThrow("frames of stream 3");
  });
});

describe("whoever wants to know when content was written", () => {
  it("hears of each piece by itself, when the window has taken it", async () => {
    const test = open(30_000);
    const written: string[] = [];
    const stream = test.streams.get(1);
    stream?.send(text(5), false, () => written.push("small"));
    stream?.send(text(6), false, () => written.push("another"));
    stream?.sendShared(new SharedFrames(1, [text(40_000)]), () => written.push("large"));
    test.feed();
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual(["small", "another"]);
    test.feed(frame(windowUpdate, 0, 1, uint32(30_000)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual(["small", "another", "large"]);
  });

  it("hears nothing of what never went out", async () => {
    const test = open(10);
    const written: string[] = [];
    test.streams.get(1)?.send(text(20), false, () => written.push("large"));
    test.feed(frame(frameTypes.reset, 0, 1, uint32(8)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual([]);
  });
});

it("hands on content frame by frame where that is asked for, without a copy", () => {
  const { log: _log, ...test } = createTestSession({ handsOnPieces: true });
  const chunk = Buffer.concat([
    clientPreface,
    frame(settings, 0, 0),
    frame(headers, 4, 1, block(":method", "POST", ":path", "/")),
    frame(frameTypes.data, 0, 1, "ab"),
    frame(frameTypes.data, 1, 1, "c"),
  ]);
  test.feed(chunk);
  expect(test.told).toEqual(["1 head :method POST :path /", "1 data ab", "1 data c", "1 end"]);
});
