import { randomBytes } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  encodeMessageHead,
  type MessageEncoding,
  MessageMemory,
  MessageReader,
  SharedMessages,
} from "./grpc-messages.ts";

const maxBytes = 2_000_000;

function createReader(encoding: MessageEncoding = "identity") {
  return new MessageReader({ encoding, maxBytes, memory: new MessageMemory() });
}

/** Messages that came, as they were during the call. */
function start(reader: MessageReader): { readonly messages: Buffer[]; readonly problem: unknown } {
  const messages: Buffer[] = [];
  return { messages, problem: reader.start((bytes) => void messages.push(Buffer.from(bytes))) };
}

/** Gives the reader a copy, and takes it away again: nothing of what is read may be kept. */
function push(reader: MessageReader, bytes: Uint8Array): unknown {
  const piece = Buffer.from(bytes);
  try {
    return reader.push(piece);
  } finally {
    piece.fill(0xff);
  }
}

function pack(message: Uint8Array, flag = 0): Buffer {
  const head = encodeMessageHead(message.length);
  head[0] = flag;
  return Buffer.concat([head, message]);
}

const three = [Buffer.from("one"), Buffer.alloc(0), Buffer.from("three")];
const stream = Buffer.concat(three.map((message) => pack(message)));

test("messages are the same however they are cut in two", () => {
  for (let place = 0; place <= stream.length; place++) {
    const reader = createReader();
    const { messages } = start(reader);
    for (const piece of [stream.subarray(0, place), stream.subarray(place)])
      expect(push(reader, piece)).toBeUndefined();
    expect([messages, reader.isInMessage]).toEqual([three, false]);
  }
});

test.each([1, 2, 3, 4, 5, 6, 7])(
  "messages are the same in pieces of %i bytes, read at once or kept for a while",
  (size) => {
    for (const kept of [0, 1, 2, 9, 100]) {
      const reader = createReader();
      let read = kept === 0 ? start(reader) : undefined;
      for (let at = 0, piece = 0; at < stream.length; at += size, piece++) {
        if (piece === kept) read ??= start(reader);
        push(reader, stream.subarray(at, at + size));
      }
      read ??= start(reader);
      expect([read.messages, read.problem, reader.isInMessage]).toEqual([three, undefined, false]);
    }
  },
);

test.each([4_000, 5_000, 65_531, 65_532, 300_000, 1_100_000, maxBytes])(
  "a message of %i bytes in many pieces",
  (length) => {
    const memory = new MessageMemory();
    const reader = new MessageReader({ encoding: "identity", maxBytes, memory });
    const message = randomBytes(length);
    const { messages } = start(reader);
    // Twice, since memory is used again.
    for (let round = 0; round < 2; round++) {
      const bytes = pack(message);
      for (let at = 0; at < bytes.length; at += 16_384) push(reader, bytes.subarray(at, at + 16_384));
    }
    expect(messages.map((received) => received.equals(message))).toEqual([true, true]);
  },
);

test("whoever only promises a large message gets little memory", () => {
  const taken: number[] = [];
  class CountedMemory extends MessageMemory {
    override take(bytes: number): Buffer {
      taken.push(bytes);
      return super.take(bytes);
    }
  }
  const reader = new MessageReader({ encoding: "identity", maxBytes, memory: new CountedMemory() });
  start(reader);
  push(reader, Buffer.concat([encodeMessageHead(maxBytes), Buffer.from("a")]));
  expect(Math.max(...taken)).toBeLessThanOrEqual(65_536);
});

test.each<readonly [MessageEncoding, Buffer]>([
  ["gzip", pack(gzipSync("text"), 1)],
  ["deflate", pack(deflateSync("text"), 1)],
  ["gzip", pack(Buffer.from("text"))],
])("takes messages in %s", (encoding, bytes) => {
  const reader = createReader(encoding);
  const { messages } = start(reader);
  expect(push(reader, bytes)).toBeUndefined();
  expect(messages.map(String)).toEqual(["text"]);
});

test.each<readonly [string, string, MessageEncoding, Buffer]>([
  ["too large", "RESOURCE_EXHAUSTED", "identity", encodeMessageHead(maxBytes + 1)],
  ["too large where it is unpacked", "RESOURCE_EXHAUSTED", "gzip", pack(gzipSync(Buffer.alloc(maxBytes + 1)), 1)],
  ["compressed, and does not say how", "INTERNAL", "identity", pack(gzipSync("text"), 1)],
  ["of an unknown kind", "INTERNAL", "gzip", pack(Buffer.from("text"), 2)],
  ["none in gzip", "INTERNAL", "gzip", pack(Buffer.from("text"), 1)],
])("refuses a message that is %s", (_what, code, encoding, bytes) => {
  for (const place of [bytes.length, 1, 4]) {
    const reader = createReader(encoding);
    start(reader);
    const problem = push(reader, bytes.subarray(0, place)) ?? push(reader, bytes.subarray(place));
    expect(problem).toMatchObject({ code });
  }
});

test("frames are made for the second call that gets a message, and for one number of streams or two", () => {
  const shared = new SharedMessages();
  const message = randomBytes(20_000);
  expect(shared.find(message, 1)).toBeUndefined();
  const frames = shared.find(message, 1);
  expect(frames?.length).toBe(20_005);
  expect(shared.find(message, 1)).toBe(frames);
  expect(shared.find(message, 3)?.stream).toBe(3);
  expect(shared.find(message, 5)).toBeUndefined();
  expect(shared.find(message.subarray(0, 100), 1)).toBeUndefined();
  expect(shared.find(message.subarray(0, 100), 1)).toBeUndefined();
});
