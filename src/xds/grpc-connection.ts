/** One connection of a client: its socket, what it speaks on it, and how both end. */
import type { Socket } from "node:net";
import { type ConnectionError, errorCodes } from "@meltemi/http2/error-codes";
import { defaultFloodLimits } from "@meltemi/http2/flood-guard";
import { freeBytes } from "@meltemi/http2/free-bytes";
import type { HeaderBlock } from "@meltemi/http2/header-blocks";
import { defaultTableBytes } from "@meltemi/http2/hpack/decoder";
import { Session } from "@meltemi/http2/session";
import type { SessionEvents, SessionOptions } from "@meltemi/http2/session-parts";
import type { SessionStream } from "@meltemi/http2/session-stream";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { type CallHead, headLimits, readHead } from "./grpc-head.ts";

export interface GrpcConnectionOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Streams that may be open at once. */
  readonly maxConcurrentStreams: number;
  /** A call begins; its stream gets a handler meanwhile. */
  readonly onCall: (stream: SessionStream, head: CallHead, connection: GrpcConnection) => void;
}

/** Bytes of requests that a client may send before we have read them, on one stream and on all. */
const receiveWindow = 1024 * 1024;
/**
 * What goes out at once, which is shared and needs no memory: a client that gets a message in parts is woken for each of
 * them. It is not more than may wait for a client that is read meanwhile (session.ts), or its answers to PINGs would be late.
 */
const batchBytes = 1024 * 1024;
/** What a client gets to read the end of a connection, in milliseconds, and how much it may send meanwhile. */
const lingerMs = 1000;
const discardLimit = 1024 * 1024;
const pingPayload = Buffer.from("meltemi-");

export class GrpcConnection implements SessionEvents {
  readonly socket: Socket;
  /** Remote address with port. */
  readonly peer: string;
  readonly #session: Session;
  readonly #options: GrpcConnectionOptions;
  readonly #whenGone: (() => void)[] = [];
  #onPong: (() => void) | undefined;
  #linger: Timer | undefined;
  #discardedBytes = 0;
  /** It ends with its last stream. */
  #isLeaving = false;
  /** All is said; nothing is read any more. */
  #isEnding = false;

  constructor(socket: Socket, options: GrpcConnectionOptions) {
    this.socket = socket;
    this.#options = options;
    const { remoteAddress, remotePort } = socket;
    this.peer = remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
    this.#session = new Session({
      stream: socket,
      options: buildSessionOptions(options.maxConcurrentStreams),
      events: this,
      clock: options.clock,
    });
    socket.on("data", (chunk: Buffer) => this.#feed(chunk));
    // The client's end of the connection is the end of its calls.
    socket.once("end", () => this.#session.destroy());
    socket.on("error", (cause) => options.log.debug("a connection failed", { cause }));
    socket.once("close", () => this.#onGone());
  }

  /** Takes no more calls, says so, and ends with the last of those that are there (RFC 9113, section 6.8). */
  close(): void {
    if (this.#isLeaving || this.#isEnding) return;
    this.#isLeaving = true;
    this.#session.refuseStreams();
    if (this.#session.openStreams === 0) this.#end();
  }

  /** Ends it at once, with all of its calls. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Hands on what was written, for whom the end of the turn is too late. */
  flush(): void {
    this.#session.flush();
  }

  /** Asks whether the client is alive. The last that asked is told of an answer. */
  ping(onAnswer: () => void): void {
    this.#onPong = onAnswer;
    this.#session.ping(pingPayload);
  }

  /** Calls `run` once when the connection is gone. */
  whenGone(run: () => void): void {
    this.#whenGone.push(run);
  }

  /** Resets a stream for what is no HTTP/2: whoever does that too often is ended. Throws ConnectionError. */
  refuse(stream: SessionStream): void {
    stream.reset(errorCodes.protocol);
    this.#session.countUseless();
  }

  // What follows is called by the session.

  onStream(stream: SessionStream, { raw, isTooLarge }: HeaderBlock): void {
    const head = isTooLarge ? undefined : readHead(raw);
    if (head !== undefined) {
      this.#options.onCall(stream, head, this);
      return;
    }
    // What is too large was counted as it came.
    if (isTooLarge) stream.reset(errorCodes.enhanceYourCalm);
    else this.refuse(stream);
  }

  onClosed(): void {
    if (this.#isLeaving && this.#session.openStreams === 0) this.#end();
  }

  onFailure(cause: ConnectionError): void {
    this.#options.log.debug("a connection failed", { cause });
    this.#end();
  }

  onGoaway(): void {
    this.#isLeaving = true;
    if (this.#session.openStreams === 0) this.#end();
  }

  onPingAnswer(): void {
    const run = this.#onPong;
    this.#onPong = undefined;
    run?.();
  }

  /** Whoever opens streams only to reset them costs more than is sent (CVE-2023-44487). */
  onResetFrame(direction: "rx_reset" | "tx_reset"): void {
    if (direction === "rx_reset") this.#session.countUseless();
  }

  #feed(chunk: Buffer): void {
    if (this.#isEnding) {
      // Whoever goes on sending has to wait for the end: reading all of it would be work for nothing.
      this.#discardedBytes += chunk.length;
      if (this.#discardedBytes >= discardLimit) this.socket.pause();
      return;
    }
    this.#session.feed(chunk);
    // What a socket has read is nobody else's, and calls keep nothing of it.
    freeBytes(chunk);
  }

  /** Lets go out what was written: a connection that is cut while bytes of the client are unread loses that. */
  #end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#session.flush();
    this.#session.destroy();
    if (this.socket.destroyed) return;
    this.socket.resume();
    this.socket.end();
    this.#linger = this.#options.clock.after(lingerMs, () => this.socket.destroy());
  }

  #onGone(): void {
    this.#isEnding = true;
    this.#linger?.close();
    this.#session.destroy();
    for (const run of this.#whenGone.splice(0)) run();
  }
}

function buildSessionOptions(maxConcurrentStreams: number): SessionOptions {
  return {
    role: "server",
    settings: { headerTableSize: defaultTableBytes, maxConcurrentStreams, initialWindowSize: receiveWindow },
    connectionWindow: receiveWindow,
    handsOnPieces: true,
    batchBytes,
    ...headLimits,
    ...defaultFloodLimits,
  };
}
