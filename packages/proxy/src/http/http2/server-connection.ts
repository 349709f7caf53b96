/**
 * An HTTP/2 connection of a client, on node:http2. What nghttp2 refuses by itself (connection headers, upper case, bad
 * lengths, floods of SETTINGS, PING and empty frames) never gets here.
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import type { CodecConnection, RequestReceiver } from "../codec-stream.ts";
import { isAuthority } from "../http1/parse-target.ts";
import type { Http2Options } from "./options.ts";
import { readHead } from "./read-head.ts";
import { Http2Stream, type StreamOwner } from "./server-stream.ts";

/** Envoy's overload.premature_reset_total_stream_count and …_min_stream_lifetime_seconds. */
const prematureTotal = 500;
const prematureMs = 1_000;
const lastStreamOfAll = 2 ** 31 - 1;

export interface Http2ConnectionOptions {
  readonly connection: DownstreamConnection;
  readonly options: Http2Options;
  readonly receiver: RequestReceiver;
  readonly clock: Clock;
  readonly onPrematureResets: () => void;
  readonly onProtocolError: () => void;
}

export class Http2Connection implements CodecConnection, StreamOwner {
  readonly headStartedAt = undefined;
  readonly #session: ServerHttp2Session;
  readonly #parts: Http2ConnectionOptions;
  #held: Http2Stream[] = [];
  #streams = 0;
  #premature = 0;
  #keepalive: Timer | undefined;
  #pingTimeout: Timer | undefined;

  constructor(parts: Http2ConnectionOptions) {
    this.#parts = parts;
    const { connection, options } = parts;
    this.#session = performServerHandshake(connection.stream, {
      maxHeaderListPairs: options.maxHeaders + 8,
      maxSendHeaderBlockLength: 1024 * 1024,
      // What is held in memory for one connection, in megabytes: above all what clients send ahead.
      maxSessionMemory: 32,
      maxSessionInvalidFrames: 100,
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
    // After the listeners: a client may be gone already, and its session with it.
    if (!this.#session.destroyed && !this.#session.connecting)
      this.#session.setLocalWindowSize(options.connectionWindow);
    this.#startKeepalive();
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
    this.#streams += 1;
    const { options, connection, receiver, clock } = this.#parts;
    const head = readHead(raw, options);
    if (head.kind === "reset") {
      stream.on("error", () => undefined);
      this.#parts.onProtocolError();
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
    const serverStream = new Http2Stream(stream, this, { openedAt: clock.monotonic(), hasBody });
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
    if (this.#parts.clock.monotonic() - openedAt > prematureMs) return;
    this.#premature += 1;
    if (this.#streams < prematureTotal || this.#premature * 2 < this.#streams) return;
    this.#parts.onPrematureResets();
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
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
    this.#keepalive?.close();
    this.#pingTimeout?.close();
    if (!this.#session.destroyed) this.#session.destroy();
    this.#parts.connection.close("flush");
  }
}
