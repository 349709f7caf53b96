/**
 * One call on its HTTP/2 stream, as gRPC has it ("gRPC over HTTP2", github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
 * headers, messages in both directions, and a status at the end.
 */
import type { Socket } from "node:net";
import { errorCodes } from "@meltemi/http2/error-codes";
import type { SessionStream, StreamHandler } from "@meltemi/http2/session-stream";
import type { Clock, Timer } from "../lib/clock.ts";
import type { GrpcConnection } from "./grpc-connection.ts";
import { areTrailers, type CallHead, findHeaders } from "./grpc-head.ts";
import {
  acceptedEncodings,
  encodeMessageHead,
  type MessageMemory,
  MessageReader,
  readEncoding,
  type SharedMessages,
} from "./grpc-messages.ts";
import type { Status, StatusName } from "./transport.ts";

/** What the application hears of a call, once it listens. */
export interface CallEvents {
  /** One encoded message, which is only there during the call. */
  onMessage(bytes: Uint8Array): void;
  /** The client sends no more. */
  onEnd(): void;
}

export interface CallOptions {
  readonly clock: Clock;
  /** Largest message in bytes. */
  readonly maxReceiveBytes: number;
  readonly memory: MessageMemory;
  readonly shared: SharedMessages;
}

/** What a call is made on. */
export interface CallParts {
  readonly stream: SessionStream;
  readonly head: CallHead;
  readonly connection: GrpcConnection;
}

/** gRPC's numbers of the statuses that are used here. */
const statusCodes: Readonly<Record<StatusName | "NOT_FOUND" | "UNIMPLEMENTED", number>> = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
};

/** Also what only the protocol itself says. */
export interface CallStatus {
  readonly code: keyof typeof statusCodes;
  readonly details: string;
}

const responseHead: readonly string[] = [
  ...[":status", "200"],
  ...["content-type", "application/grpc"],
  ...["grpc-accept-encoding", acceptedEncodings],
];

/** Messages below this are copied behind their heads, to go out in one frame. */
const smallMessage = 2048;

export class GrpcCall implements StreamHandler {
  /** "/package.Service/Method" */
  readonly path: string;
  /** Remote address with port. */
  readonly peer: string;
  readonly #stream: SessionStream;
  readonly #head: CallHead;
  readonly #connection: GrpcConnection;
  readonly #options: CallOptions;
  readonly #closed: (() => void)[] = [];
  #reader: MessageReader | undefined;
  #events: CallEvents | undefined;
  /** Bytes that came before anybody listened. */
  #unreadBytes = 0;
  #deadline: Timer | undefined;
  #hasHead = false;
  #isEnded = false;

  constructor({ stream, head, connection }: CallParts, options: CallOptions) {
    this.#stream = stream;
    this.#head = head;
    this.#connection = connection;
    this.#options = options;
    this.path = head.path;
    this.peer = connection.peer;
    stream.handler = this;
  }

  /** The connection; undefined when it is gone. */
  get socket(): Socket | undefined {
    const { socket } = this.#connection;
    return socket.destroyed ? undefined : socket;
  }

  /** No more comes and nothing can be sent. */
  get isOver(): boolean {
    return this.#isEnded || this.#stream.isClosed;
  }

  /** Values of a header, in order. */
  headers(name: string): readonly string[] {
    return findHeaders(this.#head.raw, name);
  }

  /** Checks what gRPC asks of a request's head and starts its deadline. False where the call was answered. */
  begin(): boolean {
    if (this.#head.method !== "POST" || !this.#header("content-type")?.startsWith("application/grpc")) {
      this.#isEnded = true;
      this.#stream.sendHead([":status", "415", "content-length", "0"], true);
      return false;
    }
    const encoding = readEncoding(this.#header("grpc-encoding"));
    if (encoding === undefined) {
      this.end({ code: "UNIMPLEMENTED", details: "grpc-encoding: messages are taken as identity, gzip or deflate" });
      return false;
    }
    const { maxReceiveBytes: maxBytes, memory } = this.#options;
    this.#reader = new MessageReader({ encoding, maxBytes, memory });
    const timeout = this.#header("grpc-timeout");
    if (timeout === undefined) return true;
    const timeoutMs = parseTimeout(timeout);
    if (timeoutMs === undefined) {
      this.end({ code: "INTERNAL", details: "grpc-timeout: cannot be read" });
      return false;
    }
    this.#deadline = this.#options.clock.after(timeoutMs, () => {
      this.end({ code: "DEADLINE_EXCEEDED", details: "the client's time is over" });
      this.#close();
    });
    return true;
  }

  /** Begins to read. Before, nothing is: the client's window fills and holds it back. */
  listen(events: CallEvents): void {
    if (this.isOver) return;
    this.#events = events;
    const problem = this.#reader?.start((bytes) => events.onMessage(bytes));
    this.#stream.consume(this.#unreadBytes);
    if (problem !== undefined) this.#fail(problem);
    else if (this.#stream.isRemoteEnded) this.#finish();
  }

  /** Calls `run` once when the call is over for whatever reason but that it was ended here with what was to be said. */
  onClosed(run: () => void): void {
    this.#closed.push(run);
  }

  /**
   * Sends one message; calls back when the client's window has taken all of it. The bytes are not copied, and are the
   * same for many calls: they must not change.
   */
  write(bytes: Uint8Array, onWritten?: () => void): void {
    if (this.isOver) return;
    const stream = this.#stream;
    if (!this.#hasHead) {
      this.#hasHead = true;
      stream.sendHead(responseHead, false);
    }
    const callback =
      onWritten &&
      ((error?: Error | null): void => {
        if (error === null || error === undefined) onWritten();
      });
    const head = encodeMessageHead(bytes.length);
    const frames = this.#options.shared.find(bytes, stream.id);
    if (frames !== undefined) stream.sendShared(frames, callback);
    else if (bytes.length < smallMessage) stream.send(Buffer.concat([head, bytes]), false, callback);
    else {
      stream.send(head);
      stream.send(bytes, false, callback);
    }
    // Others wait in line for this one.
    this.#connection.flush();
  }

  /** Ends the call with a status, which goes out behind what was written. */
  end(status: Status | CallStatus): void {
    if (this.isOver) return;
    this.#isEnded = true;
    const trailers = formatStatus(status);
    if (this.#hasHead) this.#stream.end(trailers);
    else this.#stream.sendHead([...responseHead, ...trailers], true);
  }

  /** Ends the call at once, read or not. */
  reset(): void {
    this.#isEnded = true;
    this.#stream.reset(errorCodes.cancel);
    // Whoever ends it is not told within that.
    queueMicrotask(() => this.#close());
  }

  #header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  // What follows is called by the stream.

  onData(piece: Buffer): void {
    const isRead = this.#events !== undefined || this.#isEnded;
    const problem = this.#isEnded ? undefined : this.#reader?.push(piece);
    if (isRead) this.#stream.consume(piece.length);
    else this.#unreadBytes += piece.length;
    if (problem !== undefined) this.#fail(problem);
  }

  /** Trailers, which mean nothing in a request. */
  onHeaders(raw: string[]): void {
    if (this.#stream.isRemoteEnded && areTrailers(raw)) {
      this.onEnd();
      return;
    }
    this.#connection.refuse(this.#stream);
    this.#close();
  }

  onEnd(): void {
    if (this.#events !== undefined) this.#finish();
  }

  onOverflow(): void {
    this.#stream.reset(errorCodes.enhanceYourCalm);
    this.#close();
  }

  onReset(): void {
    this.#close();
  }

  onWritable(): void {
    // What waits for a client is bounded by the fan-out, whose messages are shared.
  }

  /** All is said (RFC 9113, section 8.1): a client that would go on sending is told not to. */
  onSent(): void {
    if (!this.#stream.isRemoteEnded) this.#stream.reset(errorCodes.none);
    this.#close();
  }

  /** The client sends no more. */
  #finish(): void {
    if (this.#isEnded) return;
    if (this.#reader?.isInMessage) this.#fail({ code: "INTERNAL", details: "the request ends within a message" });
    else this.#events?.onEnd();
  }

  #fail(problem: Status): void {
    this.end(problem);
    this.#close();
  }

  #close(): void {
    this.#deadline?.close();
    this.#reader?.close();
    for (const run of this.#closed.splice(0)) run();
  }
}

/** Trailers: name, value, name, value. */
function formatStatus({ code, details }: CallStatus): readonly string[] {
  const status = ["grpc-status", String(statusCodes[code])];
  return details === "" ? status : [...status, "grpc-message", encodeURI(details.toWellFormed())];
}

const millisecondsOf: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a "grpc-timeout"; undefined where it is none. */
function parseTimeout(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const factor = millisecondsOf[unit];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}
