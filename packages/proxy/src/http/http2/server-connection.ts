/**
 * An HTTP/2 connection of a client, on node:http2. What nghttp2 refuses by itself (connection headers, upper case, bad
 * lengths, floods of SETTINGS, PING and empty frames) never gets here.
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Runtime } from "../../config/runtime.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import type { CodecConnection, RequestReceiver } from "../codec-stream.ts";
import { isAuthority } from "../http1/parse-target.ts";
import { FloodGuard } from "./flood-guard.ts";
import type { Http2Options } from "./options.ts";
import { PrematureResets } from "./premature-resets.ts";
import { readHead } from "./read-head.ts";
import { Http2Stream, type StreamOwner } from "./server-stream.ts";

const lastStreamOfAll = 2 ** 31 - 1;
/** Once a client has reset so many requests at once, others wait to see whether they are, too. */
const suspiciousResets = 10;
/** Milliseconds until a connection is looked at: the first time, and while nothing comes. */
const firstLookMs = 10;
const busyLookMs = 50;
const longestLookMs = 1_000;
/** Bytes of frames for a byte of a body that waits: some are padded, or short. */
const unreadShare = 2;

export interface Http2ConnectionOptions {
  readonly connection: DownstreamConnection;
  readonly options: Http2Options;
  readonly receiver: RequestReceiver;
  readonly clock: Clock;
  readonly runtime: Pick<Runtime, "number">;
  readonly onPrematureResets: () => void;
  readonly onProtocolError: () => void;
  /** A request was reset before it was begun. */
  readonly onResetUnbegun: () => void;
}

/** What came of a request in its first frame. */
interface Opening {
  /** Name, value, name, value … */
  readonly raw: readonly string[];
  readonly hasBody: boolean;
  /** On the monotonic clock. */
  readonly openedAt: number;
}

export class Http2Connection implements CodecConnection, StreamOwner {
  readonly headStartedAt = undefined;
  readonly #session: ServerHttp2Session;
  readonly #parts: Http2ConnectionOptions;
  readonly #openedAt: number;
  readonly #resets: PrematureResets;
  readonly guard = new FloodGuard();
  #bytesRead = 0;
  /** Requests that wait for the end of this turn of the event loop. */
  #waiting: (() => void)[] | undefined;
  /** Streams with a part of an answer that waits for the rest of it. */
  #held: Http2Stream[] = [];
  #keepalive: Timer | undefined;
  #pingTimeout: Timer | undefined;
  #look: Timer | undefined;

  constructor(parts: Http2ConnectionOptions) {
    this.#parts = parts;
    const { connection, options, runtime, clock } = parts;
    this.#resets = new PrematureResets(runtime);
    this.#openedAt = clock.monotonic();
    this.#session = performServerHandshake(connection.stream, {
      maxHeaderListPairs: options.maxHeaders + 8,
      maxSendHeaderBlockLength: 1024 * 1024,
      // What is held in memory for one connection, in megabytes: above all what clients send ahead.
      maxSessionMemory: 32,
      maxSessionInvalidFrames: options.maxMalformed,
      // A header with white space around its value is passed on as it is, and not silently left out.
      strictFieldWhitespaceValidation: false,
      maxSettings: 32,
      settings: {
        headerTableSize: options.headerTableSize,
        initialWindowSize: options.streamWindow,
        maxConcurrentStreams: options.maxConcurrentStreams,
        maxHeaderListSize: options.maxHeadBytes,
        enableConnectProtocol: options.allowsConnect,
      },
    });
    this.#session.on("stream", (stream, _headers, flags, raw) =>
      this.#onStream(stream, flags, raw as unknown as string[]),
    );
    this.#session.on("error", () => parts.onProtocolError());
    this.#session.on("close", () => this.#onClose());
    connection.onClose(() => this.#onClose());
    // The client's end of the connection is the end of its requests, as with HTTP/1; the session alone would wait for more.
    connection.stream.once("end", () => this.#onClose());
    // After the listeners: a client may be gone already, and its session with it.
    if (!this.#session.destroyed && !this.#session.connecting)
      this.#session.setLocalWindowSize(options.connectionWindow);
    this.#startKeepalive();
    this.#lookAgain(firstLookMs);
  }

  startDrain(): void {
    // A first GOAWAY that takes all streams, so that requests on their way are not lost (RFC 9113, section 6.8).
    if (!this.#session.destroyed) this.#session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamOfAll);
  }

  finishDrain(): void {
    if (!this.#session.closed) this.#session.close();
  }

  refuseLateHead(): void {
    // Heads come in one piece here: nghttp2 gives none before it is whole.
  }

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    stream.on("error", ignore);
    if (this.#session.destroyed) return;
    this.guard.addHead(raw);
    const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
    const openedAt = this.#parts.clock.monotonic();
    if (hasBody || this.#resets.count < suspiciousResets) this.#begin(stream, { raw, hasBody, openedAt });
    else this.#beginLater(stream, { raw, hasBody, openedAt });
  }

  /** Where resets come with the requests that they end, that shows within the turn, and nobody else has work with them. */
  #beginLater(stream: ServerHttp2Stream, opening: Opening): void {
    const begin = (): void => {
      if (!stream.closed && !stream.destroyed) this.#begin(stream, opening);
      else if (!this.#session.destroyed) {
        this.#parts.onResetUnbegun();
        this.onReset(opening.openedAt);
      }
    };
    if (this.#waiting !== undefined) {
      this.#waiting.push(begin);
      return;
    }
    const waiting = [begin];
    this.#waiting = waiting;
    setImmediate(() => {
      this.#waiting = undefined;
      for (const run of waiting) run();
    });
  }

  #begin(stream: ServerHttp2Stream, { raw, hasBody, openedAt }: Opening): void {
    const { options, connection, receiver } = this.#parts;
    const head = readHead(raw, options);
    if (head.kind === "reset") {
      this.#parts.onProtocolError();
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const serverStream = new Http2Stream(stream, this, { openedAt, hasBody });
    if (head.kind === "reply") {
      serverStream.beginMalformed(receiver, head.reply);
      return;
    }
    if (!isAuthority(head.head.authority)) {
      serverStream.beginMalformed(receiver, {
        status: 400,
        body: "",
        flags: ["DPE"],
        details: "http2.invalid.header.field",
      });
      return;
    }
    serverStream.begin(receiver, head.head, connection.tls !== undefined);
  }

  /** Clients that begin streams only to reset them cost more than they are worth: their connection ends. */
  onReset(openedAt: number): void {
    if (!this.#resets.addReset(this.#parts.clock.monotonic() - openedAt) || this.#session.destroyed) return;
    this.#parts.onPrematureResets();
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  onOtherEnd(): void {
    this.#resets.addOther();
  }

  #lookAgain(periodMs: number): void {
    this.#look = this.#parts.clock.after(periodMs, () => {
      const { bytesRead } = this.#parts.connection.stream as Partial<Socket>;
      if (this.#session.destroyed || bytesRead === undefined) return;
      const isQuiet = bytesRead === this.#bytesRead;
      this.#bytesRead = bytesRead;
      if (this.#isFlooded(bytesRead)) {
        this.#parts.onProtocolError();
        this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      } else this.#lookAgain(isQuiet ? Math.min(periodMs * 2, longestLookMs) : busyLookMs);
    });
  }

  #isFlooded(bytesRead: number): boolean {
    const ageMs = this.#parts.clock.monotonic() - this.#openedAt;
    if (!this.guard.isFlooded(bytesRead, ageMs)) return false;
    // Bodies that nobody has read yet are of use.
    const { effectiveRecvDataLength: unread = 0 } = this.#session.state;
    return this.guard.isFlooded(bytesRead - unread * unreadShare, ageMs);
  }

  flushSoon(stream: Http2Stream): void {
    this.#held.push(stream);
    // After the events that wait now, an upstream's end of the answer among them.
    if (this.#held.length === 1) setImmediate(() => this.#flushHeld());
  }

  #flushHeld(): void {
    const held = this.#held;
    this.#held = [];
    for (const stream of held) stream.flush();
  }

  #startKeepalive(): void {
    const { options, clock } = this.#parts;
    const { keepalive } = options;
    if (keepalive === undefined) return;
    this.#keepalive = clock.every(keepalive.intervalMs, () => {
      if (this.#session.destroyed || this.#pingTimeout !== undefined) return;
      this.#pingTimeout = clock.after(keepalive.timeoutMs, () => this.#session.destroy());
      this.#session.ping(() => {
        this.#pingTimeout?.close();
        this.#pingTimeout = undefined;
      });
    });
  }

  #onClose(): void {
    this.#look?.close();
    this.#keepalive?.close();
    this.#pingTimeout?.close();
    if (!this.#session.destroyed) this.#session.destroy();
    this.#parts.connection.close("flush");
  }
}

function ignore(): void {
  // How a stream ended is told by its close.
}
