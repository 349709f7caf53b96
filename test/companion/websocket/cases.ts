/** What a client may say after the handshake, in the categories of the Autobahn test suite. */
import { buildClose, buildFrame, type FrameOptions, opcodes } from "./frames.ts";

export interface WebSocketCase {
  readonly name: string;
  readonly bytes: Buffer;
  /** So many bytes are written at a time; all at once where not given. */
  readonly chop?: number;
}

type Row = readonly [name: string, ...frames: readonly Buffer[]];

const { more, text, binary, ping, pong } = opcodes;
const goodbye = buildClose(1000);

export const webSocketCases: readonly WebSocketCase[] = [
  ...framing(),
  ...family("ping", pings()),
  ...family("reserved bits", reservedBits()),
  ...family("opcode", reservedOpcodes()),
  ...family("fragments", fragments()),
  ...family("UTF-8", utf8()),
  ...family("close", closing(), false),
  ...family("mask and length", masks()),
  ...limits(),
  ...many(),
];

/** Each ends with a good goodbye, if the server has not ended it before. */
function family(title: string, rows: readonly Row[], saysGoodbye = true): readonly WebSocketCase[] {
  return rows.flatMap(([name, ...frames]) => {
    const bytes = Buffer.concat(saysGoodbye ? [...frames, goodbye] : frames);
    const whole = { name: `${title}: ${name}`, bytes };
    return bytes.length > 2_000 ? [whole] : [whole, { name: `${title}, byte for byte: ${name}`, bytes, chop: 1 }];
  });
}

function part(opcode: number, payload: Uint8Array | string, options: FrameOptions = {}): Buffer {
  return buildFrame(opcode, payload, { isFinal: false, ...options });
}

/** Of text: letters. Of bytes: all values. */
function fill(opcode: number, size: number): Buffer {
  if (opcode === text) return Buffer.alloc(size, "*abc");
  return Buffer.from(Array.from({ length: size }, (_, index) => index % 256));
}

function framing(): readonly WebSocketCase[] {
  const sizes = [0, 1, 125, 126, 127, 128, 255, 256, 1_000, 65_535, 65_536, 65_537];
  return [text, binary].flatMap((opcode) => {
    const kind = opcode === text ? "text" : "binary";
    const whole = sizes.map(
      (size): WebSocketCase => ({
        name: `framing: ${kind} of ${size} bytes`,
        bytes: Buffer.concat([buildFrame(opcode, fill(opcode, size)), goodbye]),
      }),
    );
    const chopped = [997, 1_460, 4_096, 16_384].map(
      (chop): WebSocketCase => ({
        name: `framing: ${kind} of 65536 bytes, ${chop} at a time`,
        bytes: Buffer.concat([buildFrame(opcode, fill(opcode, 65_536)), goodbye]),
        chop,
      }),
    );
    return [...whole, ...chopped];
  });
}

function pings(): readonly Row[] {
  const bytes = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff]);
  return [
    ["empty", buildFrame(ping)],
    ["with text", buildFrame(ping, "Hello")],
    ["with bytes", buildFrame(ping, bytes)],
    ["of 125 bytes", buildFrame(ping, fill(binary, 125))],
    ["of 126 bytes", buildFrame(ping, fill(binary, 126))],
    ["a pong that nobody asked for", buildFrame(pong)],
    ["a pong with text, then a ping", buildFrame(pong, "one"), buildFrame(ping, "two")],
    ["ten", ...Array.from({ length: 10 }, (_, index) => buildFrame(ping, `payload ${index}`))],
    ["in fragments", part(ping, "a"), buildFrame(more, "b")],
    ["between messages", buildFrame(text, "a"), buildFrame(ping, "b"), buildFrame(text, "c")],
  ];
}

function reservedBits(): readonly Row[] {
  const rows = [1, 2, 3, 4, 5, 6, 7].map(
    (reserved): Row => [
      `${reserved}`,
      buildFrame(text, "good"),
      buildFrame(text, "bad", { reserved }),
      buildFrame(ping),
    ],
  );
  return [
    ...rows,
    ["of a ping", buildFrame(ping, "", { reserved: 4 })],
    ["of a close", buildFrame(opcodes.close, "", { reserved: 4 })],
    ["of a later fragment", part(text, "a"), buildFrame(more, "b", { reserved: 4 })],
  ];
}

function reservedOpcodes(): readonly Row[] {
  return [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode): readonly Row[] => [
    [`${opcode}`, buildFrame(opcode), buildFrame(ping)],
    [`${opcode} with content, after a message`, buildFrame(text, "good"), buildFrame(opcode, "bad")],
  ]);
}

function fragments(): readonly Row[] {
  return [
    ["two", part(text, "one"), buildFrame(more, "two")],
    ["of bytes", part(binary, "one"), buildFrame(more, "two")],
    ["with a ping between", part(text, "one"), buildFrame(ping, "ping"), buildFrame(more, "two")],
    ["with a pong between", part(text, "one"), buildFrame(pong, "pong"), buildFrame(more, "two")],
    ["empty ones", part(text, ""), part(more, ""), buildFrame(more, "")],
    ["empty around text", part(text, ""), part(more, "middle"), buildFrame(more, "")],
    ["a continuation of nothing", buildFrame(more, "x"), buildFrame(text, "y")],
    ["an unfinished continuation of nothing", part(more, "x"), buildFrame(text, "y")],
    ["a message within a message", part(text, "one"), buildFrame(text, "two")],
    ["bytes within text", part(text, "one"), buildFrame(binary, "two")],
    ["never finished", part(text, "one"), part(more, "two")],
    [
      "five with pings",
      part(text, "1"),
      part(more, "2"),
      buildFrame(ping, "a"),
      part(more, "3"),
      part(more, "4"),
      buildFrame(ping, "b"),
      buildFrame(more, "5"),
    ],
    ["many small ones", part(text, "a"), ...Array.from({ length: 300 }, () => part(more, "b")), buildFrame(more, "c")],
  ];
}

function utf8(): readonly Row[] {
  const good = ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u{10ffff}", "\u0000", "\ufffd", "\ufeff", "𐀀", "\u07ff", "\uffff"];
  const bad = [
    "cebae1bdb9cf83cebcceb5eda080656469746564",
    "80",
    "c3",
    "c0af",
    "e080af",
    "f08080af",
    "f4908080",
    "eda080",
    "edbfbf",
    "fe",
    "ff",
    "f8888080",
    "fc84808080",
    "e28028",
    "f0288cbc",
    "c328",
  ];
  return [
    ...good.map((value): Row => [JSON.stringify(value), buildFrame(text, value)]),
    ...good.slice(0, 3).map((value): Row => {
      const bytes = Buffer.from(value);
      const cut = [...bytes].map((byte, index) => part(index === 0 ? text : more, Buffer.from([byte])));
      return [`${JSON.stringify(value)} in fragments`, ...cut, buildFrame(more, "")];
    }),
    ...bad.map((hex): Row => [hex, buildFrame(text, Buffer.from(hex, "hex")), buildFrame(ping)]),
    ...bad
      .slice(0, 4)
      .map((hex): Row => [`${hex} in fragments`, part(text, "good"), buildFrame(more, Buffer.from(hex, "hex"))]),
    ["bad as bytes", buildFrame(binary, Buffer.from("fffe80", "hex"))],
  ];
}

function closing(): readonly Row[] {
  const good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
  const bad = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
  return [
    ...[...good, ...bad].map((code): Row => [`code ${code}`, buildClose(code)]),
    ["empty", buildFrame(opcodes.close)],
    ["of one byte", buildFrame(opcodes.close, "x")],
    ["with a reason", buildClose(1000, "goodbye")],
    ["with a reason of 123 bytes", buildClose(1000, fill(text, 123))],
    ["with a reason of 124 bytes", buildClose(1000, fill(text, 124))],
    ["with a reason that is no text", buildClose(1000, Buffer.from("cebae1bdb9cf83cebcceb5eda080", "hex"))],
    ["then a message", goodbye, buildFrame(text, "late")],
    ["then a ping", goodbye, buildFrame(ping, "late")],
    ["twice", goodbye, goodbye],
    ["in a message", part(text, "one"), goodbye, buildFrame(more, "two")],
    ["after a message", buildFrame(text, "one"), goodbye],
    ["in fragments", part(opcodes.close, ""), buildFrame(more, "")],
  ];
}

function masks(): readonly Row[] {
  return [
    ["a frame without a mask", buildFrame(text, "bare", { isMasked: false })],
    ["a ping without a mask", buildFrame(ping, "", { isMasked: false })],
    ["a length in two bytes that is short", buildFrame(text, "short", { lengthBytes: 2 })],
    ["a length in eight bytes that is short", buildFrame(text, "short", { lengthBytes: 8 })],
    ["a length beyond 2^53", Buffer.from("82ffffffffffffffffff01020304", "hex")],
    ["a length with its highest bit", Buffer.from("82ff800000000000000001020304", "hex")],
    ["a ping with a long length", buildFrame(ping, "p", { lengthBytes: 2 })],
    ["HTTP in place of a frame", Buffer.from("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")],
  ];
}

function limits(): readonly WebSocketCase[] {
  const large: WebSocketCase[] = [text, binary].flatMap((opcode) =>
    [262_144, 1_048_576, 4_194_304].map(
      (size): WebSocketCase => ({
        name: `limits: ${opcode === text ? "text" : "binary"} of ${size} bytes`,
        bytes: Buffer.concat([buildFrame(opcode, fill(opcode, size)), goodbye]),
      }),
    ),
  );
  const inFragments = [64, 1_024, 65_536].map((size): WebSocketCase => {
    const count = 262_144 / size;
    const frames = Array.from({ length: count }, (_, index) =>
      buildFrame(index === 0 ? binary : more, fill(binary, size), { isFinal: index === count - 1 }),
    );
    return { name: `limits: 262144 bytes in fragments of ${size}`, bytes: Buffer.concat([...frames, goodbye]) };
  });
  const tooLarge = Buffer.concat([buildFrame(binary, fill(binary, 8_400_000)), goodbye]);
  return [...large, ...inFragments, { name: "limits: more than the server takes", bytes: tooLarge }];
}

function many(): readonly WebSocketCase[] {
  return [0, 16, 64, 256].map((size) => {
    const frames = Array.from({ length: 500 }, () => buildFrame(text, fill(text, size)));
    return { name: `many: 500 messages of ${size} bytes`, bytes: Buffer.concat([...frames, goodbye]) };
  });
}
