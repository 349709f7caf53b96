/**
 * One HTTP/2 connection with one gRPC call (RFC 9113), written for load: what comes is read into one buffer that all
 * connections share, so that a simulated proxy costs little more than the kernel's part of it.
 */
import { connect, type Socket } from "node:net";
import { buildFrame, encodeField, flags, frameTypes, preface } from "../../proxies/http2-frames.ts";
import { FrameCutter, type FramePart } from "./frame-cutter.ts";
import { SendWindow } from "./send-window.ts";

export interface AdsConnectionOptions {
  /** "host:port". */
  readonly address: string;
  readonly path: string;
  /** Bytes of messages, valid until it returns. */
  readonly onData: (data: Buffer) => void;
  /** The call or the connection ended, and not by close(). */
  readonly onEnded: () => void;
}

/** Bytes that the server may send of a call ahead of what is read: Envoy's initial_stream_window_size where nothing is set. */
const windowBytes = 16 * 1024 * 1024;

/** Of a read; shared by all connections, as each is done with it before the next one reads. */
const readBuffer = Buffer.allocUnsafe(262_144);

/** Room that a call has that is not read any more. */
const stalledWindowBytes = 16_384;

const stream = 1;
const [streamWindowSetting, pushSetting] = [4, 2];

export class AdsConnection {
  readonly #options: AdsConnectionOptions;
  readonly #socket: Socket;
  readonly #cutter = new FrameCutter((part) => this.#handle(part));
  readonly #sending = new SendWindow(stream);
  /** Read, and not yet given back to the server as room. */
  #taken = 0;
  #isStalled = false;
  #isClosed = false;

  constructor(options: AdsConnectionOptions) {
    this.#options = options;
    const split = options.address.lastIndexOf(":");
    const onread = { buffer: readBuffer, callback: (length: number) => this.#take(readBuffer.subarray(0, length)) };
    this.#socket = connect({
      ...{ host: options.address.slice(0, split), port: Number(options.address.slice(split + 1)) },
      ...{ noDelay: true, onread },
    });
    this.#socket.on("error", () => this.#end()).on("close", () => this.#end());
    this.#socket.write(Buffer.concat([preface, ...buildOpening(options)]));
  }

  /** One gRPC message, head included. */
  write(parts: readonly Buffer[]): void {
    if (this.#isClosed) return;
    this.#flush(this.#sending.push(parts));
  }

  /** Takes no message any more, and leaves the server room for a few bytes more; pings are still answered. */
  stall(): void {
    this.#isStalled = true;
    // What is under way counts against it (RFC 9113, section 6.9.2).
    this.#socket.write(buildSettings(stalledWindowBytes));
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #take(data: Buffer): boolean {
    if (this.#isClosed) return false;
    this.#cutter.take(data);
    // Half of the room is left when the server learns of more.
    if (this.#taken * 2 >= windowBytes && !this.#isClosed) {
      this.#socket.write(Buffer.concat([buildWindowUpdate(0, this.#taken), buildWindowUpdate(stream, this.#taken)]));
      this.#taken = 0;
    }
    return true;
  }

  #handle({ type, flags: set, payload, isLast }: FramePart): void {
    if (this.#isClosed) return;
    switch (type) {
      case frameTypes.data:
        if (this.#isStalled) return;
        this.#taken += payload.length;
        this.#options.onData(payload);
        if (isLast && (set & flags.endStream) !== 0) this.#end();
        return;
      case frameTypes.headers:
        if ((set & flags.endStream) !== 0) this.#end();
        return;
      case frameTypes.resetStream:
      case frameTypes.goAway:
        this.#end();
        return;
      case frameTypes.settings:
      case frameTypes.ping:
        if ((set & flags.ack) !== 0) return;
        if (type === frameTypes.settings) this.#flush(this.#sending.handleSettings(payload));
        this.#socket.write(
          buildFrame({
            ...{ type, flags: flags.ack, stream: 0 },
            payload: type === frameTypes.ping ? payload : Buffer.alloc(0),
          }),
        );
        return;
      case frameTypes.windowUpdate:
        this.#flush(this.#sending.handleUpdate(payload, this.#cutter.stream));
    }
  }

  #flush(frames: readonly Buffer[]): void {
    if (frames.length > 0 && !this.#isClosed) this.#socket.write(Buffer.concat(frames));
  }

  #end(): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.onEnded();
  }
}

function buildOpening({ address, path }: AdsConnectionOptions): readonly Buffer[] {
  // Static indices (RFC 7541, appendix A): POST, http, then :path, :authority, content-type and te by its name.
  const headers = Buffer.concat([
    Buffer.from([0x83, 0x86]),
    encodeField(4, path),
    encodeField(1, address),
    encodeField(31, "application/grpc"),
    Buffer.from([0x40, 2, ...Buffer.from("te"), 8, ...Buffer.from("trailers")]),
  ]);
  return [
    buildSettings(windowBytes),
    // The connection has more room than the call, as in Envoy.
    buildWindowUpdate(0, windowBytes * 2),
    buildFrame({ type: frameTypes.headers, flags: flags.endHeaders, stream, payload: headers }),
  ];
}

/** No pushes, and so much room for each call. */
function buildSettings(windowBytes: number): Buffer {
  const payload = Buffer.alloc(12);
  payload.writeUInt16BE(pushSetting, 0);
  payload.writeUInt16BE(streamWindowSetting, 6);
  payload.writeUInt32BE(windowBytes, 8);
  return buildFrame({ type: frameTypes.settings, flags: 0, stream: 0, payload });
}

function buildWindowUpdate(of: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return buildFrame({ type: frameTypes.windowUpdate, flags: 0, stream: of, payload });
}
