/**
 * One call on its HTTP/2 stream, as gRPC has it ("gRPC over HTTP2", github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
 * headers, messages in both directions, and a status at the end.
 */
import { constants, type ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import {
  acceptedEncodings,
  encodeMessageHead,
  type JointBuffer,
  type MessageEncoding,
  MessageReader,
  readEncoding,
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
  readonly joint: JointBuffer;
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

const responseHeaders = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": acceptedEncodings,
} as const;

export class GrpcCall {
  /** "/package.Service/Method" */
  readonly path: string;
  /** Remote address with port. */
  readonly peer: string;
  readonly #stream: ServerHttp2Stream;
  readonly #rawHeaders: readonly string[];
  readonly #options: CallOptions;
  readonly #closed: (() => void)[] = [];
  #deadline: Timer | undefined;
  #trailers: Record<string, string> | undefined;
  #isEnded = false;

  /** `rawHeaders`: names and values in turn, as they came. */
  constructor(stream: ServerHttp2Stream, rawHeaders: readonly string[], options: CallOptions) {
    this.#stream = stream;
    this.#rawHeaders = rawHeaders;
    this.#options = options;
    this.path = this.#header(":path") ?? "";
    const { remoteAddress, remotePort } = stream.session?.socket ?? {};
    this.peer = remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
    stream.on("wantTrailers", () => this.#sendTrailers());
    stream.once("close", () => this.#close());
  }

  /** The connection; undefined when it is gone. */
  get socket(): TLSSocket | undefined {
    const { session } = this.#stream;
    return session === undefined || session.destroyed ? undefined : (session.socket as TLSSocket);
  }

  /** No more comes and nothing can be sent. */
  get isOver(): boolean {
    return this.#isEnded || this.#stream.closed || this.#stream.destroyed;
  }

  /** Values of a header, in order. */
  headers(name: string): readonly string[] {
    return this.#rawHeaders.flatMap((value, index) =>
      index % 2 === 1 && this.#rawHeaders[index - 1] === name ? [value] : [],
    );
  }

  /** Checks what gRPC asks of a request's head and starts its deadline. False where the call was answered. */
  begin(): boolean {
    if (this.#header(":method") !== "POST" || !this.#header("content-type")?.startsWith("application/grpc")) {
      this.#isEnded = true;
      this.#stream.respond({ ":status": 415, "content-length": 0 }, { endStream: true });
      this.#dropRequest();
      return false;
    }
    if (this.#encoding === undefined) {
      this.end({ code: "UNIMPLEMENTED", details: "grpc-encoding: messages are taken as identity, gzip or deflate" });
      return false;
    }
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
  listen({ onMessage, onEnd }: CallEvents): void {
    const encoding = this.#encoding ?? "identity";
    const { maxReceiveBytes: maxBytes, joint } = this.#options;
    const reader = new MessageReader({ encoding, maxBytes, joint, onMessage });
    const stream = this.#stream;
    stream.on("data", (chunk: Buffer) => {
      if (this.#isEnded) return;
      const problem = reader.push(chunk);
      if (problem === undefined) return;
      this.end(problem);
      this.#close();
    });
    stream.once("end", () => {
      if (this.#isEnded) return;
      if (!reader.isInMessage) {
        onEnd();
        return;
      }
      this.end({ code: "INTERNAL", details: "the request ends within a message" });
      this.#close();
    });
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
    const stream = this.#stream;
    if (this.isOver) return;
    if (!stream.headersSent) stream.respond(responseHeaders, { waitForTrailers: true });
    stream.cork();
    stream.write(encodeMessageHead(bytes.length));
    stream.write(bytes, (error) => {
      if (error === null || error === undefined) onWritten?.();
    });
    stream.uncork();
  }

  /** Ends the call with a status, which goes out behind what was written. */
  end(status: Status | CallStatus): void {
    if (this.isOver) return;
    this.#isEnded = true;
    const trailers = formatStatus(status);
    if (this.#stream.headersSent) {
      this.#trailers = trailers;
      this.#stream.end();
      return;
    }
    this.#stream.respond({ ...responseHeaders, ...trailers }, { endStream: true });
    this.#dropRequest();
  }

  /** Ends the call at once, read or not. */
  reset(): void {
    this.#isEnded = true;
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  get #encoding(): MessageEncoding | undefined {
    return readEncoding(this.#header("grpc-encoding"));
  }

  #header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  #sendTrailers(): void {
    this.#stream.sendTrailers(this.#trailers ?? formatStatus({ code: "OK", details: "" }));
    this.#dropRequest();
  }

  /**
   * All is said (RFC 9113, 8.1): a client that would go on sending is told not to. In a turn of its own, since Node lets a
   * reset overtake the trailers that were handed over in the same one.
   */
  #dropRequest(): void {
    if (this.#stream.readableEnded) return;
    this.#options.clock.after(0, () => this.#stream.close(constants.NGHTTP2_NO_ERROR));
  }

  #close(): void {
    this.#deadline?.close();
    for (const run of this.#closed.splice(0)) run();
  }
}

function formatStatus({ code, details }: CallStatus): Record<string, string> {
  const status = { "grpc-status": String(statusCodes[code]) };
  return details === "" ? status : { ...status, "grpc-message": encodeURI(details.toWellFormed()) };
}

const millisecondsOf: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a "grpc-timeout"; undefined where it is none. */
function parseTimeout(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  const factor = millisecondsOf[unit];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}
