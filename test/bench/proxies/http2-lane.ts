import { connect, type Socket } from "node:net";
import { createBody } from "./bodies.ts";
import {
  answerControlFrame,
  buildFrame,
  buildOpening,
  buildWindowUpdate,
  createFrameReader,
  encodeField,
  encodeKnownFields,
  type Frame,
  flags,
  frameTypes,
  preface,
} from "./http2-frames.ts";
import type { Lane, LaneOptions } from "./lane.ts";

/** Streams of one connection that are under way at once. */
export const streamsPerLane = 10;

/** Bytes after which the connection's window is filled up; it was opened with four times as many. */
const refillBytes = 1 << 28;

/** Asks over HTTP/2 without TLS and without an upgrade (prior knowledge), with GET alone. */
export function openHttp2Lane(options: LaneOptions): Lane {
  const lane = new Http2Lane(options);
  return { close: () => lane.close() };
}

/** What is known of an answer so far. */
interface Exchange {
  readonly startedAt: number;
  readonly isCompared: boolean;
  bytes: number;
  isOk: boolean;
}

class Http2Lane {
  readonly #options: LaneOptions;
  readonly #body: Buffer;
  readonly #socket: Socket;
  readonly #reader = createFrameReader((frame) => this.#handle(frame));
  readonly #exchanges = new Map<number, Exchange>();
  readonly #firstBlock: Buffer;
  readonly #laterBlock: Buffer;
  #out: Buffer[] = [];
  #lastStream = -1;
  #taken = 0;
  #isClosed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#body = createBody(options.work.answerBytes);
    // Static indices: GET and http, then :authority, :path, user-agent and accept.
    const fixed = Buffer.from([0x82, 0x86]);
    const fields = [
      encodeField(1, "bench.test"),
      encodeField(4, options.work.path),
      encodeField(58, "bench/1.0"),
      encodeField(19, "*/*"),
    ];
    this.#firstBlock = Buffer.concat([fixed, ...fields]);
    this.#laterBlock = Buffer.concat([fixed, encodeKnownFields(fields.length)]);
    const buffer = Buffer.allocUnsafe(65_536);
    const callback = (length: number): boolean => {
      this.#take(buffer.subarray(0, length));
      return true;
    };
    const onread = { buffer, callback };
    this.#socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true, onread });
    this.#socket.on("error", (cause) => this.#fail(cause));
    this.#socket.on("close", () => this.#fail(new Error("the proxy closed a connection")));
    this.#out.push(preface, buildOpening());
    for (let index = 0; index < streamsPerLane; index++) this.#ask();
    this.#flush();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    if (this.#isClosed) return;
    try {
      this.#reader.take(data);
      this.#flush();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  #flush(): void {
    if (this.#out.length === 0) return;
    this.#socket.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  #ask(): void {
    const isFirst = this.#lastStream < 0;
    this.#lastStream += 2;
    const payload = isFirst ? this.#firstBlock : this.#laterBlock;
    const set = flags.endHeaders | flags.endStream;
    this.#out.push(buildFrame({ type: frameTypes.headers, flags: set, stream: this.#lastStream, payload }));
    const startedAt = performance.now();
    this.#exchanges.set(this.#lastStream, { startedAt, isCompared: isFirst, bytes: 0, isOk: false });
  }

  #handle(frame: Frame): void {
    const answer = answerControlFrame(frame);
    if (answer !== undefined) this.#out.push(answer);
    const { type, stream, payload } = frame;
    if (type === frameTypes.resetStream || type === frameTypes.goAway)
      throw new Error(`the proxy ends stream ${stream}`);
    if (type !== frameTypes.headers && type !== frameTypes.data) return;
    const exchange = this.#exchanges.get(stream);
    if (exchange === undefined) throw new Error(`an answer to stream ${stream}, which asks for nothing`);
    if ((frame.flags & (flags.padded | flags.priority)) !== 0) throw new Error("a frame with padding or priority");
    if (type === frameTypes.headers) exchange.isOk = isOk(payload);
    else this.#takeData(exchange, payload);
    if ((frame.flags & flags.endStream) !== 0) this.#finish(stream, exchange);
  }

  #takeData(exchange: Exchange, data: Buffer): void {
    const end = exchange.bytes + data.length;
    if (exchange.isCompared && this.#body.compare(data, 0, data.length, exchange.bytes, end) !== 0) {
      throw new Error("a body with other bytes than those that were sent");
    }
    exchange.bytes = end;
    this.#taken += data.length;
    if (this.#taken < refillBytes) return;
    this.#out.push(buildWindowUpdate(this.#taken));
    this.#taken = 0;
  }

  #finish(stream: number, { isOk: isRight, bytes, startedAt }: Exchange): void {
    if (!isRight || bytes !== this.#body.length) throw new Error(`not 200, or ${bytes} bytes in place of all`);
    this.#exchanges.delete(stream);
    this.#options.onExchange(startedAt);
    this.#ask();
  }

  #fail(cause: unknown): void {
    if (!this.#isClosed) this.#options.onFailure(cause);
  }
}

/** Whether a block of headers begins with `:status: 200`, after changes of the table's size (RFC 7541, section 6.3). */
function isOk(block: Buffer): boolean {
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) at++;
  return block[at] === 0x88;
}
