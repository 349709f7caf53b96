import { describe, expect, it } from "vitest";
import { errorCodes } from "./error-codes.ts";
import { clientPreface, frameTypes } from "./frame-types.ts";
import { block, createTestSession, frame, setting, type TestSession, uint32 } from "./test-session.ts";

const { data, headers, priority, reset, settings, pushPromise, ping, goaway, windowUpdate, continuation } = frameTypes;
const opening = Buffer.concat([clientPreface, frame(settings, 0, 0)]);
const get = block(":method", "GET", ":path", "/");
const ask = (id: number): Buffer => frame(headers, 5, id, get);
const post = (id: number): Buffer => frame(headers, 4, id, get);
const acknowledged = frame(settings, 1, 0);

/** What came out after the opening of this side. */
function linesOf({ log }: TestSession): readonly string[] {
  return log.lines.slice(3);
}

describe("the opening", () => {
  it("says settings and window, and acknowledges those of the peer", () => {
    const test = createTestSession();
    test.feed(opening);
    expect(test.log.lines).toEqual(["SETTINGS 0 0", "WINDOW 0 0 65537", "SETTINGS 1 0"]);
  });
});

describe("a stream", () => {
  it("carries a request and its answer", () => {
    const test = createTestSession();
    test.feed(opening, post(1), frame(data, 0, 1, "ab"), frame(data, 1, 1, "c"));
    const stream = test.streams.get(1);
    stream?.sendHead([":status", "200"], false);
    stream?.send(Buffer.from("ok"));
    stream?.end();
    test.feed();
    expect(test.told).toEqual(["1 head :method GET :path /", "1 data abc", "1 end", "closed", "1 sent"]);
    expect(linesOf(test)).toEqual(["HEADERS 4 1 :status 200", "DATA 1 1 ok"]);
    expect(test.session.openStreams).toBe(0);
  });

  it.each<readonly [string, readonly string[], (test: TestSession) => void]>([
    ["a head alone", ["HEADERS 5 1 :status 204"], ({ streams }) => streams.get(1)?.sendHead([":status", "204"], true)],
    [
      "information before it",
      ["HEADERS 4 1 :status 103", "HEADERS 5 1 :status 204"],
      ({ streams }) => {
        streams.get(1)?.sendInformation([":status", "103"]);
        streams.get(1)?.sendHead([":status", "204"], true);
      },
    ],
    [
      "trailers",
      ["HEADERS 4 1 :status 200", "DATA 0 1 a", "HEADERS 5 1 x 1"],
      ({ streams }) => {
        streams.get(1)?.sendHead([":status", "200"], false);
        streams.get(1)?.send(Buffer.from("a"));
        streams.get(1)?.end(["x", "1"]);
      },
    ],
    [
      "an end that comes later",
      ["HEADERS 4 1 :status 200", "DATA 0 1 a", "DATA 1 1 "],
      (test) => {
        test.streams.get(1)?.sendHead([":status", "200"], false);
        test.streams.get(1)?.send(Buffer.from("a"));
        test.feed();
        test.streams.get(1)?.end();
      },
    ],
    [
      "what was sent, and then a reset",
      ["HEADERS 4 1 :status 200", "DATA 0 1 a", "RST 0 1 2"],
      ({ streams }) => {
        streams.get(1)?.sendHead([":status", "200"], false);
        streams.get(1)?.send(Buffer.from("a"));
        streams.get(1)?.reset(errorCodes.internal);
      },
    ],
  ])("sends %s", (_name, expected, run) => {
    const test = createTestSession();
    test.feed(opening, ask(1));
    run(test);
    test.feed();
    expect(linesOf(test)).toEqual(expected);
  });

  it("reads a head in several frames, and splits one that is long", () => {
    const test = createTestSession();
    test.feed(opening, frame(headers, 1, 1, block("a", "1")), frame(continuation, 4, 1, block("b", "2")));
    expect(test.told).toEqual(["1 head a 1 b 2 end"]);
    // Of a cookie that is short nothing is put into a table, so that each is as long as the first.
    const raw = Array.from({ length: 2_000 }, (_, index) => ["cookie", `\x80\x81\x82\x83${index}`]).flat();
    test.streams.get(1)?.sendHead(raw, true);
    test.feed();
    expect(linesOf(test)).toEqual([`HEADERS+ 5 1 ${raw.join(" ")}`]);
  });
});

describe("streams", () => {
  it("are refused beyond the limit, which ends a peer that knows of it", () => {
    const limited = { settings: { ...createLimits(), maxConcurrentStreams: 2 } };
    const first = createTestSession(limited);
    first.feed(opening, ask(1), ask(3), ask(5));
    expect(linesOf(first)).toEqual(["RST 0 5 7"]);
    const second = createTestSession(limited);
    second.feed(opening, acknowledged, ask(1), ask(3), ask(5));
    expect(second.told.at(-1)).toBe("failure 1 too many concurrent streams");
  });

  it("are told of a reset, of the peer's end, and of nothing else", () => {
    const test = createTestSession();
    test.feed(opening, post(1), frame(reset, 0, 1, uint32(8)), frame(data, 0, 1, "late"), ask(3));
    test.session.destroy();
    expect(test.told).toEqual([
      "1 head :method GET :path /",
      "closed",
      "1 reset 8",
      "3 head :method GET :path / end",
      "closed",
      "3 reset 8",
    ]);
  });
});

function createLimits() {
  return { headerTableSize: 4_096, maxConcurrentStreams: 100, initialWindowSize: 65_535, enableConnectProtocol: false };
}

const answer = (test: TestSession, id: number, bytes: number): boolean | undefined => {
  test.streams.get(id)?.sendHead([":status", "200"], false);
  return test.streams.get(id)?.send(Buffer.alloc(bytes));
};
const sent = (test: TestSession, id: number): number =>
  linesOf(test)
    .filter((line) => line.startsWith(`DATA 0 ${id} `))
    .reduce((sum, line) => sum + Number(line.split("#")[1]), 0);

describe("windows of the peer", () => {
  it("of a stream hold back what it sends", () => {
    const test = createTestSession();
    test.feed(clientPreface, frame(settings, 0, 0, setting(4, 10_000)), ask(1), ask(3));
    answer(test, 1, 30_000);
    answer(test, 3, 5_000);
    test.feed();
    expect([sent(test, 1), sent(test, 3)]).toEqual([10_000, 5_000]);
    test.feed(frame(windowUpdate, 0, 1, uint32(5_000)));
    expect(sent(test, 1)).toBe(15_000);
    test.feed(frame(settings, 0, 0, setting(4, 25_000)));
    expect(sent(test, 1)).toBe(30_000);
  });

  it("of the connection hold back all, in turn", () => {
    const test = createTestSession();
    test.feed(clientPreface, frame(settings, 0, 0, setting(4, 1_000_000)), ask(1), ask(3));
    answer(test, 1, 60_000);
    answer(test, 3, 60_000);
    test.feed();
    expect(sent(test, 1) + sent(test, 3)).toBe(65_535);
    test.feed(frame(windowUpdate, 0, 0, uint32(100_000)));
    expect([sent(test, 1), sent(test, 3)]).toEqual([60_000, 60_000]);
  });

  it("shrink below zero where the peer says so", () => {
    const test = createTestSession();
    test.feed(opening, ask(1));
    answer(test, 1, 50_000);
    test.feed(frame(settings, 0, 0, setting(4, 1_000)));
    const before = sent(test, 1);
    test.streams.get(1)?.send(Buffer.alloc(60_000));
    test.feed(frame(windowUpdate, 0, 1, uint32(40_000)));
    expect(before).toBe(1_000);
    expect(sent(test, 1)).toBe(41_000);
  });

  it("ask a sender to wait, and to go on", () => {
    const test = createTestSession();
    test.feed(clientPreface, frame(settings, 0, 0, setting(4, 1_000)), ask(1));
    expect(answer(test, 1, 200_000)).toBe(false);
    test.feed(frame(windowUpdate, 0, 1, uint32(60_000)));
    expect(test.told).not.toContain("1 writable");
    test.feed(frame(windowUpdate, 0, 0, uint32(500_000)), frame(windowUpdate, 0, 1, uint32(100_000)));
    expect(test.told).toContain("1 writable");
  });

  it("hold little of many streams that may not send", () => {
    const test = createTestSession();
    test.feed(clientPreface, frame(settings, 0, 0, setting(4, 0)));
    for (let id = 1; id < 200; id += 2) test.feed(ask(id));
    let taken = 0;
    for (let id = 1; id < 200; id += 2) {
      for (let takesMore = true; takesMore; taken += 16_384) takesMore = answer(test, id, 16_384) === true;
    }
    expect(taken).toBeLessThan(1024 * 1024 + 101 * 16_384 + 131_072);
  });
});

describe("windows of this side", () => {
  it("are opened again for what was consumed, and for nothing else", () => {
    const consumed = createTestSession();
    const kept = createTestSession({}, () => undefined, true);
    const piece = frame(data, 0, 1, "x".repeat(16_384));
    for (const test of [consumed, kept]) test.feed(opening, post(1), piece, piece, piece, piece.subarray(0, 0));
    expect(linesOf(consumed)).toContain("WINDOW 0 1 49152");
    expect(linesOf(kept)).toEqual([]);
    for (const test of [consumed, kept]) test.feed(piece);
    expect(kept.told.at(-1)).toBe("1 reset 3");
    expect(linesOf(kept)).toEqual(["RST 0 1 3", "WINDOW 0 0 65536"]);
    expect(linesOf(consumed)).toContain("WINDOW 0 0 65536");
  });

  it("of the connection are given back by streams that end with content that nobody has consumed", () => {
    const test = createTestSession({}, () => undefined, true);
    const piece = frame(data, 0, 1, "x".repeat(16_384));
    test.feed(opening, post(1), piece, piece, piece, post(3), frame(data, 1, 3, "x".repeat(16_384)));
    expect(linesOf(test)).toEqual([]);
    test.feed(frame(reset, 0, 1, uint32(8)));
    test.streams.get(3)?.reset(errorCodes.none);
    test.feed();
    expect(linesOf(test)).toEqual(["RST 0 3 0", "WINDOW 0 0 65536"]);
  });

  it("count padding as consumed", () => {
    const test = createTestSession({}, () => undefined, true);
    const padded = frame(data, 8, 1, `${String.fromCharCode(255)}a${"\0".repeat(255)}`);
    test.feed(opening, post(1));
    for (let count = 0; count < 255; count++) test.feed(padded);
    expect(linesOf(test).some((line) => line.startsWith("WINDOW 0 1 "))).toBe(true);
    expect(test.told.at(-1)).toBe("1 data a");
  });
});

describe("memory of content that is the session's own", () => {
  it("is given back when all of it has been written, and not before", async () => {
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const test = createTestSession();
    test.feed(clientPreface, frame(settings, 0, 0, setting(4, 20_000)), ask(1));
    const bytes = Buffer.from(new ArrayBuffer(32_768)).fill("x");
    const others = Buffer.from(new ArrayBuffer(32_768)).fill("y");
    const stream = test.streams.get(1);
    stream?.sendHead([":status", "200"], false);
    stream?.send(bytes, true);
    stream?.send(others);
    test.feed();
    await turn();
    expect(bytes.byteLength).toBe(32_768);
    test.feed(frame(windowUpdate, 0, 1, uint32(20_000)));
    await turn();
    expect([bytes.byteLength, others.byteLength]).toEqual([0, 32_768]);
    test.feed(frame(windowUpdate, 0, 1, uint32(60_000)));
    await turn();
    expect(others.byteLength).toBe(32_768);
    expect(sent(test, 1)).toBe(65_535);
  });
});

describe("a peer that does not read", () => {
  it("gets no more than its socket takes, and the rest when it does", () => {
    const test = createTestSession();
    test.feed(
      clientPreface,
      frame(settings, 0, 0, setting(4, 10_000_000)),
      frame(windowUpdate, 0, 0, uint32(9_000_000)),
    );
    test.feed(ask(1));
    test.stall();
    const stream = test.streams.get(1);
    stream?.sendHead([":status", "200"], false);
    let pieces = 0;
    for (; pieces < 1_000 && stream?.send(Buffer.alloc(16_384)) === true; pieces++) test.feed();
    expect(pieces).toBeLessThan(40);
    test.read();
    expect(test.told.at(-1)).toBe("1 writable");
  });

  it("is ended when it wants answers all the same", () => {
    const test = createTestSession();
    test.feed(opening);
    test.stall();
    const pings = Buffer.concat(Array.from({ length: 400 }, () => frame(ping, 0, 0, "12345678")));
    for (let round = 0; round < 4; round++) test.feed(pings);
    expect(test.told.at(-1)).toMatch(/^failure 11 too many control frames/);
  });
});

describe("floods", () => {
  const many = (count: number, bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => bytes));
  const empty = frame(data, 0, 1);
  const update = frame(windowUpdate, 0, 0, uint32(1));
  const order = frame(priority, 0, 5, Buffer.from([0, 0, 0, 3, 1]));
  it.each<readonly [string, Buffer, Buffer, string]>([
    ["PING", many(999, frame(ping, 0, 0, "12345678")), many(1_001, frame(ping, 0, 0, "12345678")), "control frames"],
    ["SETTINGS", many(998, frame(settings, 0, 0)), many(2, frame(settings, 0, 0)), "frames without use"],
    ["empty DATA", Buffer.concat([post(1), empty]), empty, "empty payload"],
    ["empty CONTINUATION", Buffer.concat([frame(headers, 0, 1)]), frame(continuation, 0, 1), "empty payload"],
    ["PRIORITY", many(100, order), order, "PRIORITY"],
    ["PRIORITY after a request", Buffer.concat([post(1), many(200, order)]), order, "PRIORITY"],
    ["WINDOW_UPDATE", many(5, update), update, "WINDOW_UPDATE"],
    ["WINDOW_UPDATE after a request", Buffer.concat([post(1), many(7, update)]), update, "WINDOW_UPDATE"],
    ["unknown frames", many(999, frame(0xfa, 0, 0)), frame(0xfa, 0, 0), "frames without use"],
    [
      "heads that unfold",
      // One entry of some 2,000 bytes, meant again and again: 4 MB, of which each is a thousand times what is allowed.
      frame(headers, 5, 1, Buffer.concat([get, Buffer.from("40017a7fd10e", "hex"), Buffer.alloc(2_000, "v")])),
      frame(headers, 5, 3, Buffer.concat([get, Buffer.alloc(5_000, 0x80 | 62)])),
      "frames without use",
    ],
    [
      "CONTINUATION",
      Buffer.concat([frame(headers, 0, 1), many(128, frame(continuation, 0, 1, "a"))]),
      frame(continuation, 0, 1, "a"),
      "CONTINUATION",
    ],
    [
      "a head without end",
      Buffer.concat([frame(headers, 0, 1), many(4, frame(continuation, 0, 1, "a".repeat(16_384)))]),
      frame(continuation, 0, 1, "a".repeat(16_384)),
      "without end",
    ],
  ])("of %s end the connection at the limit, and not before", (_name, allowed, more, reason) => {
    const test = createTestSession();
    test.feed(opening, allowed);
    expect(test.told.filter((line) => line.startsWith("failure"))).toEqual([]);
    test.session.feed(more);
    expect(test.told.at(-1)).toMatch(new RegExp(`^failure 11 .*${reason}`));
    test.session.flush();
    expect(test.log.lines.at(-1)).toMatch(/^GOAWAY 0 0 \d+ 11 /);
  });
});

describe("what breaks the protocol costs the connection", () => {
  const { protocol, flowControl, streamClosed, compression, frameSize } = errorCodes;
  it.each<readonly [string, number, readonly Buffer[]]>([
    ["no SETTINGS first", protocol, [clientPreface, ask(1)]],
    ["an acknowledgement first", protocol, [clientPreface, acknowledged]],
    ["an even stream", protocol, [opening, ask(2)]],
    ["DATA on an idle stream", protocol, [opening, frame(data, 0, 1, "a")]],
    ["RST_STREAM on an idle stream", protocol, [opening, frame(reset, 0, 1, uint32(0))]],
    ["WINDOW_UPDATE on an idle stream", protocol, [opening, frame(windowUpdate, 0, 1, uint32(1))]],
    ["a window that grows by nothing", protocol, [opening, frame(windowUpdate, 0, 0, uint32(0))]],
    ["a window beyond the largest", flowControl, [opening, frame(windowUpdate, 0, 0, uint32(2 ** 31 - 1))]],
    ["a stream's window beyond it", flowControl, [opening, post(1), frame(windowUpdate, 0, 1, uint32(2 ** 31 - 1))]],
    ["an initial window beyond it", flowControl, [clientPreface, frame(settings, 0, 0, setting(4, 2 ** 31))]],
    ["frames smaller than the least", protocol, [clientPreface, frame(settings, 0, 0, setting(5, 16_383))]],
    ["frames larger than the largest", protocol, [clientPreface, frame(settings, 0, 0, setting(5, 2 ** 24))]],
    ["a push that is neither on nor off", protocol, [clientPreface, frame(settings, 0, 0, setting(2, 2))]],
    ["a promise of a client", protocol, [opening, post(1), frame(pushPromise, 4, 1, uint32(2))]],
    ["DATA behind the end", streamClosed, [opening, ask(1), frame(data, 0, 1, "a")]],
    ["HEADERS behind the end", streamClosed, [opening, ask(1), ask(1)]],
    ["a block that is none", compression, [opening, frame(headers, 5, 1, "\xff\xff\xff\xff\xff\xff\xff")]],
    ["a priority that is cut", frameSize, [opening, frame(headers, 0x25, 1, "abcd")]],
    ["padding alone, and more", protocol, [opening, frame(headers, 0xd, 1, "\x09abc")]],
    ["a stream that depends on itself", protocol, [opening, frame(headers, 0x25, 1, Buffer.concat([uint32(1), get]))]],
    ["the same in PRIORITY", protocol, [opening, frame(priority, 0, 1, Buffer.from([0, 0, 0, 1, 1]))]],
    [
      "more than the window of the connection",
      flowControl,
      [
        opening,
        ...[1, 3, 5].flatMap((id) => [
          post(id),
          ...Array.from({ length: 3 }, () => frame(data, 0, id, "x".repeat(16_384))),
        ]),
      ],
    ],
  ])("%s", (_name, code, bytes) => {
    const test = createTestSession({}, () => undefined, true);
    test.feed(...bytes);
    expect(test.told.at(-1)).toMatch(new RegExp(`^failure ${code} `));
    const told = test.told.length;
    test.feed(ask(99));
    expect(test.told.length).toBe(told);
  });
});

describe("what is no error", () => {
  it.each<readonly [string, readonly Buffer[]]>([
    ["an acknowledged PING that was never sent", [frame(ping, 1, 0, "12345678")]],
    ["a second acknowledgement of SETTINGS", [acknowledged, acknowledged]],
    ["settings that nobody knows", [frame(settings, 0, 0, setting(99, 1))]],
    [
      "DATA, RST_STREAM and trailers on a stream that was reset",
      [
        post(1),
        frame(reset, 0, 1, uint32(8)),
        frame(data, 0, 1, "a"),
        frame(windowUpdate, 0, 1, uint32(1)),
        frame(reset, 0, 1, uint32(8)),
        frame(headers, 5, 1, block("x", "1")),
      ],
    ],
  ])("%s", (_name, bytes) => {
    const test = createTestSession();
    test.feed(opening, ...bytes, ask(3));
    expect(test.told.at(-1)).toBe("3 head :method GET :path / end");
  });
});

describe("streams of a client", () => {
  it("open in the order of their numbers, whichever is given up first", () => {
    const test = createTestSession({ role: "client" });
    const [first, second] = [test.session, test.session].map((session) => session.open([":path", "/"], true));
    second?.reset(errorCodes.cancel);
    test.session.open([":path", "/"], true);
    first?.reset(errorCodes.cancel);
    test.feed();
    const order = ["HEADERS 5 1 :path /", "HEADERS 5 3 :path /", "RST 0 3 8", "HEADERS 5 5 :path /", "RST 0 1 8"];
    expect(test.log.lines.slice(2)).toEqual(order);
  });
});

describe("the end", () => {
  it("is announced first, and then taken no stream more", () => {
    const test = createTestSession();
    test.feed(opening, ask(1));
    test.session.announceEnd();
    test.feed(ask(3));
    test.session.refuseStreams();
    test.feed(ask(5), frame(data, 0, 5, "a"));
    expect(linesOf(test)).toEqual([`GOAWAY 0 0 ${2 ** 31 - 1} 0 `, "GOAWAY 0 0 3 0 "]);
    expect(test.told.at(-1)).toBe("3 head :method GET :path / end");
    expect(test.session.openStreams).toBe(2);
  });

  it("is told when the peer says goodbye", () => {
    const test = createTestSession();
    test.feed(opening, frame(goaway, 0, 0, Buffer.alloc(8)));
    expect(test.told).toEqual(["goaway"]);
  });
});
