/** A client that sends frames as it is told, and says what became of each stream. */
import { connect, type Socket } from "node:net";
import {
  buildHeaders,
  buildOpening,
  buildSettingsAck,
  endStream,
  type Field,
  type Frame,
  parseFrames,
  parseStatus,
} from "./http2-frames.ts";

export interface Http2Answer {
  /** By the number of the stream: a status, "reset", or "nothing" where the connection ended before. */
  readonly streams: Readonly<Record<string, number | "reset" | "nothing">>;
  /** True where the proxy ended the connection, with or without a word. */
  readonly isClosed: boolean;
}

/** The number of the stream on which a good request comes behind every input. */
const last = 1_001;
const sentinel: readonly Field[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "end"],
  [":path", "/end"],
];

/** Sends frames and a good request behind them; waits until all streams of both have ended. */
export function askFrames(port: number, frames: Buffer): Promise<Http2Answer> {
  const opened = parseFrames(frames).frames.filter(({ type }) => type === "headers");
  const ids = [...new Set([...opened.map(({ stream }) => stream), last])];
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () =>
      socket.write(Buffer.concat([buildOpening(), frames, buildHeaders(last, sentinel)])),
    );
    const reader = new AnswerReader(socket, ids);
    let isClosed = true;
    socket.on("data", (chunk: Buffer) => {
      if (!reader.take(chunk)) return;
      isClosed = reader.isGoingAway;
      socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve({ streams: reader.describe(), isClosed }));
  });
}

class AnswerReader {
  readonly #socket: Socket;
  readonly #ids: readonly number[];
  readonly #statuses = new Map<number, number | "reset">();
  readonly #ended = new Set<number>();
  #rest: Buffer = Buffer.alloc(0);
  isGoingAway = false;

  constructor(socket: Socket, ids: readonly number[]) {
    this.#socket = socket;
    this.#ids = ids;
  }

  /** True when nothing more is to come. */
  take(chunk: Buffer): boolean {
    const { frames, rest } = parseFrames(Buffer.concat([this.#rest, chunk]));
    this.#rest = rest;
    for (const frame of frames) this.#takeFrame(frame);
    return this.#ids.every((id) => this.#ended.has(id));
  }

  #takeFrame({ type, flags, stream, payload }: Frame): void {
    if (type === "settings" && (flags & 1) === 0) this.#socket.write(buildSettingsAck());
    if (type === "goaway") this.isGoingAway = true;
    if (type === "reset") {
      if (!this.#ended.has(stream)) this.#statuses.set(stream, this.#statuses.get(stream) ?? "reset");
      this.#ended.add(stream);
    }
    if (type !== "headers" && type !== "data") return;
    const status = type === "headers" ? parseStatus(payload) : undefined;
    if (status !== undefined && status >= 200) this.#statuses.set(stream, status);
    if ((flags & endStream) !== 0) this.#ended.add(stream);
  }

  describe(): Http2Answer["streams"] {
    return Object.fromEntries(this.#ids.map((id) => [id, this.#statuses.get(id) ?? "nothing"]));
  }
}
