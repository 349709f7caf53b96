/** A session whose peer is the test: bytes go in as they are given, frames come out as text. */
import { Duplex } from "node:stream";
import { clientPreface } from "./frame-types.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { Session } from "./session.ts";
import type { SessionEvents, SessionOptions } from "./session-parts.ts";
import type { SessionStream } from "./session-stream.ts";

/** A frame as bytes. */
export function frame(type: number, flags: number, stream: number, payload: string | Uint8Array = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A setting as it stands in SETTINGS. */
export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([0, id]), uint32(value)]);
}

/** A block of literals without indexing; names and values of less than 127 bytes. */
export function block(...raw: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (const [index, text] of raw.entries()) {
    if (index % 2 === 0) parts.push(Buffer.from([0]));
    parts.push(Buffer.from([text.length]), Buffer.from(text, "latin1"));
  }
  return Buffer.concat(parts);
}

const names = ["DATA", "HEADERS", "PRIORITY", "RST", "SETTINGS", "PUSH", "PING", "GOAWAY", "WINDOW", "CONTINUATION"];

/** Frames as "NAME flags stream content". */
export class FrameLog {
  readonly #decoder = new HpackDecoder(4_096);
  #rest: Buffer = Buffer.alloc(0);
  #preface: number;
  #block: Buffer[] = [];
  #flags = 0;
  readonly lines: string[] = [];

  /** Of what a client sends, the preface is left out. */
  constructor(role: SessionOptions["role"] = "server") {
    this.#preface = role === "client" ? clientPreface.length : 0;
  }

  add(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(this.#preface)]);
    this.#preface = Math.max(0, this.#preface - bytes.length);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      this.#addFrame(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
  }

  /** A head in several frames comes out as one, with a "+", and the flags of both its ends. */
  #addHeaders(bytes: Buffer): void {
    const flags = bytes.readUInt8(4);
    this.#block.push(bytes.subarray(9));
    this.#flags |= flags;
    if ((flags & 4) === 0) return;
    const name = this.#block.length > 1 ? "HEADERS+" : "HEADERS";
    const { raw } = this.#decoder.decode(Buffer.concat(this.#block), 1_000_000);
    this.lines.push(`${name} ${this.#flags} ${bytes.readUInt32BE(5)} ${raw.join(" ")}`);
    this.#block = [];
    this.#flags = 0;
  }

  #addFrame(bytes: Buffer): void {
    const type = bytes.readUInt8(3);
    const payload = bytes.subarray(9);
    const head = `${names[type]} ${bytes.readUInt8(4)} ${bytes.readUInt32BE(5)}`;
    if (type === 1 || type === 9) this.#addHeaders(bytes);
    else if (type === 3 || type === 8) this.lines.push(`${head} ${payload.readUInt32BE(0)}`);
    else if (type === 7) {
      this.lines.push(`${head} ${payload.readUInt32BE(0)} ${payload.readUInt32BE(4)} ${payload.toString("latin1", 8)}`);
    } else if (type === 4) this.lines.push(head);
    else this.lines.push(`${head} ${payload.length > 40 ? `#${payload.length}` : payload.toString("latin1")}`);
  }
}

export interface TestSession {
  readonly session: Session;
  readonly log: FrameLog;
  /** What was told of streams: "1 head :path /", "1 data abc", "1 end", "1 reset 8" ... */
  readonly told: string[];
  readonly streams: ReadonlyMap<number, SessionStream>;
  /** Bytes in, and what waits to be sent out. */
  feed(...bytes: readonly Buffer[]): void;
  /** The peer reads nothing until `read`. */
  stall(): void;
  read(): void;
}

export const testOptions: SessionOptions = {
  role: "server",
  settings: {
    headerTableSize: 4_096,
    maxConcurrentStreams: 100,
    initialWindowSize: 65_535,
    enableConnectProtocol: false,
  },
  connectionWindow: 131_072,
  maxHeadBytes: 4_096,
  maxHeaders: 20,
  outboundFrames: 10_000,
  outboundControlFrames: 1_000,
  emptyFrames: 1,
  priorityFramesPerStream: 100,
  windowUpdatesPerDataFrame: 10,
};

/** `onStream` is called when a head came. Content is consumed as it comes unless `keeps`. */
export function createTestSession(
  options: Partial<SessionOptions> = {},
  onStream: (stream: SessionStream) => void = () => undefined,
  keeps = false,
): TestSession {
  const log = new FrameLog(options.role);
  const told: string[] = [];
  const streams = new Map<number, SessionStream>();
  let isStalled = false;
  let waiting: (() => void) | undefined;
  const stream = new Duplex({
    writableHighWaterMark: 200_000,
    read: () => undefined,
    writev(chunks, callback) {
      for (const { chunk } of chunks) log.add(chunk as Buffer);
      if (isStalled) waiting = callback;
      else callback();
    },
  });
  const events: SessionEvents = {
    onStream(opened, { raw, isEnd, isTooLarge }) {
      const { id } = opened;
      streams.set(id, opened);
      told.push(`${id} ${isTooLarge ? "too large" : "head"} ${raw.join(" ")}${isEnd ? " end" : ""}`);
      opened.handler = {
        onData(bytes) {
          told.push(`${id} data ${bytes.length > 40 ? `#${bytes.length}` : bytes.toString("latin1")}`);
          if (!keeps) opened.consume(bytes.length);
        },
        onHeaders: (trailers) => told.push(`${id} trailers ${trailers.join(" ")}`),
        onEnd: () => told.push(`${id} end`),
        onOverflow: () => opened.reset(2),
        onReset: (code) => told.push(`${id} reset ${code}`),
        onWritable: () => told.push(`${id} writable`),
        onSent: () => told.push(`${id} sent`),
      };
      onStream(opened);
    },
    onStreamRefused: () => told.push("refused"),
    onClosed: () => told.push("closed"),
    onFailure: ({ code, message }) => told.push(`failure ${code} ${message}`),
    onGoaway: () => told.push("goaway"),
    onPingAnswer: () => told.push("pong"),
    onResetFrame: () => undefined,
  };
  const session = new Session({
    stream,
    options: { ...testOptions, ...options },
    events,
    clock: { monotonic: () => 0 },
  });
  return {
    session,
    log,
    told,
    streams,
    feed(...bytes) {
      session.feed(Buffer.concat(bytes));
      session.flush();
    },
    stall() {
      isStalled = true;
    },
    read() {
      isStalled = false;
      const run = waiting;
      waiting = undefined;
      run?.();
    },
  };
}
