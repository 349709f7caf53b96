import { createServer, type Server, type Socket } from "node:net";
import { createBody } from "./bodies.ts";
import {
  answerControlFrame,
  buildFrame,
  buildOpening,
  createFrameReader,
  encodeField,
  encodeKnownFields,
  type Frame,
  flags,
  frameTypes,
  preface,
} from "./http2-frames.ts";

/** Answers every request with a body of this length (at most a frame), whatever it asks for. HTTP/2 without TLS. */
export function createHttp2Upstream(bodyBytes: number): Server {
  return createServer({ noDelay: true }, (socket) => {
    const connection = new Http2Answers(socket, createBody(bodyBytes));
    socket.on("data", (data: Buffer) => connection.take(data));
    socket.on("error", () => socket.destroy());
  });
}

/** Static indices of server, date, content-type and content-length. */
const buildFields = (length: number): readonly Buffer[] => [
  encodeField(54, "upstream"),
  encodeField(33, "Thu, 01 Jan 2026 00:00:00 GMT"),
  encodeField(31, "text/plain"),
  encodeField(28, String(length)),
];
const statusOk = Buffer.from([0x88]);
const initialWindow = 65_535;

class Http2Answers {
  readonly #socket: Socket;
  readonly #body: Buffer;
  readonly #reader = createFrameReader((frame) => this.#handle(frame));
  /** Streams that have asked, while the connection's window is full. */
  readonly #waiting = new Set<number>();
  #out: Buffer[] = [];
  #isFirst = true;
  #prefaceLeft = preface.length;
  /** Bytes that the connection may still take. */
  #window = initialWindow;

  constructor(socket: Socket, body: Buffer) {
    this.#socket = socket;
    this.#body = body;
    this.#out.push(buildOpening());
  }

  take(data: Buffer): void {
    const skipped = Math.min(this.#prefaceLeft, data.length);
    this.#prefaceLeft -= skipped;
    this.#reader.take(data.subarray(skipped));
    this.#answerWaiting();
    if (this.#out.length === 0) return;
    this.#socket.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  #handle(frame: Frame): void {
    const { type, stream, payload } = frame;
    if (type === frameTypes.windowUpdate && stream === 0) this.#window += payload.readUInt32BE(0);
    if ((type === frameTypes.headers || type === frameTypes.data) && (frame.flags & flags.endStream) !== 0) {
      this.#waiting.add(stream);
    }
    // Clients go whenever they like, and proxies take their requests back.
    if (type === frameTypes.resetStream) this.#waiting.delete(stream);
    const answer = answerControlFrame(frame);
    if (answer !== undefined) this.#out.push(answer);
  }

  #answerWaiting(): void {
    for (const stream of this.#waiting) {
      if (this.#window < this.#body.length) return;
      this.#waiting.delete(stream);
      this.#window -= this.#body.length;
      this.#out.push(
        buildFrame({ type: frameTypes.headers, flags: flags.endHeaders, stream, payload: this.#takeBlock() }),
        buildFrame({ type: frameTypes.data, flags: flags.endStream, stream, payload: this.#body }),
      );
    }
  }

  /** Fields are spelt out once for each connection, as any encoder with a table does it. */
  #takeBlock(): Buffer {
    const fields = buildFields(this.#body.length);
    const block = this.#isFirst ? Buffer.concat(fields) : encodeKnownFields(fields.length);
    this.#isFirst = false;
    return Buffer.concat([statusOk, block]);
  }
}
