import { describe, expect, it } from "vitest";
import { ConnectionError, errorCodes } from "./error-codes.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { clientPreface, frameTypes } from "./frame-types.ts";
import { frame } from "./test-session.ts";

/** What a sink was told; pieces of one DATA frame are joined. */
function record(): { readonly told: string[]; readonly sink: FrameSink } {
  const told: string[] = [];
  let data = "";
  const sink: FrameSink = {
    onHead: () => undefined,
    onFrame: ({ type, flags, stream, length }, payload) =>
      told.push(`${type} ${flags} ${stream} ${length} ${payload.toString("latin1")}`),
    onData: (_, bytes) => {
      data += bytes.toString("latin1");
    },
    onDataEnd: ({ type, flags, stream, length }) => {
      told.push(`${type} ${flags} ${stream} ${length} ${data}`);
      data = "";
    },
  };
  return { told, sink };
}

const stream = Buffer.concat([
  clientPreface,
  frame(frameTypes.settings, 0, 0),
  frame(frameTypes.headers, 0x1, 1, "abc"),
  frame(frameTypes.continuation, 0x4, 1, "def"),
  frame(frameTypes.data, 0x9, 3, "\x03abc\0\0\0"),
  frame(frameTypes.data, 0x8, 3, "\x04\0\0\0\0"),
  frame(frameTypes.data, 0, 3),
  frame(frameTypes.data, 0, 3, "x".repeat(16_384)),
  frame(0xfa, 0xff, 7, "unknown"),
  frame(0xfb, 0, 7),
  frame(frameTypes.ping, 0, 0, "12345678"),
]);

const expected = [
  "4 0 0 0 ",
  "1 1 1 3 abc",
  "9 4 1 3 def",
  "0 9 3 7 abc",
  "0 8 3 5 ",
  "0 0 3 0 ",
  `0 0 3 16384 ${"x".repeat(16_384)}`,
  "250 255 7 7 ",
  "251 0 7 0 ",
  "6 0 0 8 12345678",
];

describe("frames as they come", () => {
  it.each([1, 2, 3, 7, 9, 10, 24, 1_000, stream.length])("are the same in pieces of %d bytes", (size) => {
    const { told, sink } = record();
    const reader = new FrameReader(sink, clientPreface);
    for (let at = 0; at < stream.length; at += size) reader.feed(stream.subarray(at, at + size));
    expect(told).toEqual(expected);
  });

  it("are read no further once it was stopped", () => {
    const told: number[] = [];
    const reader: FrameReader = new FrameReader(
      {
        ...record().sink,
        onFrame({ type }) {
          told.push(type);
          reader.stop();
        },
      },
      clientPreface,
    );
    reader.feed(stream);
    expect(told).toEqual([frameTypes.settings]);
  });
});

describe("frames that are none", () => {
  const { protocol, frameSize } = errorCodes;
  it.each<readonly [string, number, Buffer]>([
    ["another preface", protocol, Buffer.from("PRI * HTTP/2.0\r\n\r\nXX")],
    ["too long", frameSize, Buffer.concat([clientPreface, Buffer.from("004001fa0000000001", "hex")])],
    ["DATA on stream 0", protocol, Buffer.concat([clientPreface, frame(0, 0, 0, "a")])],
    ["HEADERS on stream 0", protocol, Buffer.concat([clientPreface, frame(1, 4, 0, "a")])],
    ["PRIORITY of 4 bytes", frameSize, Buffer.concat([clientPreface, frame(2, 0, 1, "abcd")])],
    ["RST_STREAM of 3 bytes", frameSize, Buffer.concat([clientPreface, frame(3, 0, 1, "abc")])],
    ["RST_STREAM on stream 0", protocol, Buffer.concat([clientPreface, frame(3, 0, 0, "abcd")])],
    ["SETTINGS of 5 bytes", frameSize, Buffer.concat([clientPreface, frame(4, 0, 0, "abcde")])],
    ["SETTINGS on a stream", protocol, Buffer.concat([clientPreface, frame(4, 0, 1)])],
    ["SETTINGS that acknowledge something", frameSize, Buffer.concat([clientPreface, frame(4, 1, 0, "abcdef")])],
    ["PING of 7 bytes", frameSize, Buffer.concat([clientPreface, frame(6, 0, 0, "1234567")])],
    ["PING on a stream", protocol, Buffer.concat([clientPreface, frame(6, 0, 1, "12345678")])],
    ["GOAWAY of 7 bytes", frameSize, Buffer.concat([clientPreface, frame(7, 0, 0, "1234567")])],
    ["WINDOW_UPDATE of 5 bytes", frameSize, Buffer.concat([clientPreface, frame(8, 0, 1, "12345")])],
    ["CONTINUATION of nothing", protocol, Buffer.concat([clientPreface, frame(9, 4, 1)])],
    [
      "a head that is interrupted",
      protocol,
      Buffer.concat([clientPreface, frame(1, 0, 1), frame(6, 0, 0, "12345678")]),
    ],
    ["a head that goes on elsewhere", protocol, Buffer.concat([clientPreface, frame(1, 0, 1), frame(9, 4, 3)])],
    ["padding without a length", frameSize, Buffer.concat([clientPreface, frame(0, 8, 1)])],
    ["more padding than payload", protocol, Buffer.concat([clientPreface, frame(0, 8, 1, "\x03ab")])],
  ])("cost the connection: %s", (_name, code, bytes) => {
    const feed = (size: number): unknown => {
      const reader = new FrameReader(record().sink, clientPreface);
      try {
        for (let at = 0; at < bytes.length; at += size) reader.feed(bytes.subarray(at, at + size));
      } catch (cause: unknown) {
        return cause;
      }
      return undefined;
    };
    for (const size of [1, bytes.length]) {
      const cause = feed(size);
      expect(cause).toBeInstanceOf(ConnectionError);
      expect((cause as ConnectionError).code).toBe(code);
    }
  });
});
