/** An HTTP/2 connection of a client. */
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionError, errorCodes, protocolError } from "@meltemi/http2/error-codes";
import { FloodError } from "@meltemi/http2/flood-guard";
import { freeBytes } from "@meltemi/http2/free-bytes";
import type { HeaderBlock } from "@meltemi/http2/header-blocks";
import { Session } from "@meltemi/http2/session";
import type { SessionEvents } from "@meltemi/http2/session-parts";
import type { SessionStream } from "@meltemi/http2/session-stream";
import type { Runtime } from "../../config/runtime.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import { ReadTurns } from "../../lib/read-turns.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import type { CodecConnection, RequestReceiver } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import type { Http2CodecStats, Http2Counter } from "./codec-stats.ts";
import type { Http2Options } from "./options.ts";
import { PrematureResets } from "./premature-resets.ts";
import { type Http2Head, readHead, tooLarge, tooMany } from "./read-head.ts";
import { Http2Stream, type ServerStreamOwner } from "./server-stream.ts";

/** Once a client has reset so many requests at once, others wait to see whether they are, too. */
const suspiciousResets = 10;
/**
 * Requests of one connection that are begun in a turn of the event loop: a few kilobytes can hold a hundred, which take
 * milliseconds, and twenty such clients would have all others wait for two thousand. Envoy has a limit for it as well, of none
 * unless it is set (http.max_requests_per_io_cycle).
 */
const requestsOfTurn = 8;
/** So many answers to PING and the like for what was read at once are more than any client needs: others come first. */
const manyAnswers = 100;
/** Bytes that are read of a client whose connection ends: enough for what it had sent by then. */
const discardLimit = 1024 * 1024;
/** Details of refused heads, and what counts them. */
const refusals: ReadonlyMap<string, Http2Counter> = new Map([
  [tooMany.details, "header_overflow"],
  [tooLarge.details, "header_list_size_too_large"],
  ["http2.unexpected_underscore", "requests_rejected_with_underscores_in_headers"],
]);
const pingPayload = Buffer.alloc(8, "meltemi-");

export interface Http2ConnectionOptions {
  readonly connection: DownstreamConnection;
  readonly options: Http2Options;
  readonly receiver: RequestReceiver;
  readonly clock: Clock;
  readonly runtime: Pick<Runtime, "number">;
  readonly stats: Http2CodecStats;
  readonly onPrematureResets: () => void;
  readonly onProtocolError: () => void;
  /** A request was reset before it was begun. */
  readonly onResetUnbegun: () => void;
}

interface Waiting {
  readonly stream: Http2Stream;
  readonly head: Http2Head;
}

export class Http2Connection implements CodecConnection, ServerStreamOwner, SessionEvents {
  readonly #session: Session;
  readonly #parts: Http2ConnectionOptions;
  readonly #stream: Duplex;
  readonly #resets: PrematureResets;
  readonly #turns: ReadTurns;
  headStartedAt: number | undefined;
  /** Requests that are begun in a later turn of the event loop. */
  readonly #waiting: Waiting[] = [];
  #begunOfTurn = 0;
  #isTurnCounted = false;
  #keepalive: Timer | undefined;
  #pingTimeout: Timer | undefined;
  #lingering: Timer | undefined;
  #discardedBytes = 0;
  #isFinishing = false;
  #isEnding = false;
  #isGone = false;

  constructor(parts: Http2ConnectionOptions) {
    this.#parts = parts;
    const { connection, options, runtime, clock } = parts;
    this.#resets = new PrematureResets(runtime);
    this.#stream = connection.stream;
    this.#session = new Session({
      stream: this.#stream,
      options: {
        ...options,
        role: "server",
        settings: {
          headerTableSize: options.headerTableSize,
          maxConcurrentStreams: options.maxConcurrentStreams,
          initialWindowSize: options.streamWindow,
          enableConnectProtocol: options.allowsConnect,
        },
      },
      events: this,
      clock,
    });
    const mayGoOn = (): boolean => !this.#session.isReadPaused;
    this.#turns = new ReadTurns(this.#stream, { hasReader: false, mayGoOn });
    this.#stream.on("data", (chunk: Buffer) => this.#feed(chunk));
    // The client's end of the connection is the end of its requests, as with HTTP/1.
    this.#stream.once("end", () => this.#leave());
    this.#stream.on("error", () => this.#leave());
    connection.onClose(() => this.#leave());
    this.#startKeepalive();
    this.#stream.resume();
  }

  startDrain(): void {
    this.#parts.stats.counters.goaway_sent.inc();
    this.#session.announceEnd();
  }

  finishDrain(): void {
    if (this.#isEnding || this.#isGone) return;
    if (!this.#isFinishing) {
      this.#isFinishing = true;
      this.#parts.stats.counters.goaway_sent.inc();
      this.#session.refuseStreams();
    }
    if (this.#session.openStreams === 0) this.#end();
  }

  refuseLateHead(reply: LocalReply): void {
    this.headStartedAt = undefined;
    if (this.#isEnding || !this.#session.isWithinHead) return;
    const { receiver, clock, stats } = this.#parts;
    stats.streamsActive.inc();
    new Http2Stream(this.#session.openLate(), this, clock.monotonic()).beginMalformed(receiver, reply);
  }

  #feed(chunk: Buffer): void {
    if (this.#isEnding) {
      // Whoever goes on sending has to wait for the end: reading all of it would be work for nothing.
      this.#discardedBytes += chunk.length;
      if (this.#discardedBytes >= discardLimit) this.#stream.pause();
      return;
    }
    this.#session.feed(chunk);
    // What a socket has read is nobody else's.
    if (this.#stream instanceof Socket) freeBytes(chunk);
    if (this.#session.writer.waitingControlFrames > manyAnswers && !this.#isEnding) this.#turns.countWork();
    if (this.#isEnding || !this.#session.isWithinHead) this.headStartedAt = undefined;
    else this.headStartedAt ??= this.#parts.clock.monotonic();
  }

  onStreamRefused(): void {
    this.#parts.stats.counters.stream_refused_errors.inc();
  }

  onStream(stream: SessionStream, { raw, isTooLarge, isEnd }: HeaderBlock): void {
    const { options, receiver, clock, stats } = this.#parts;
    stats.streamsActive.inc();
    const serverStream = new Http2Stream(stream, this, clock.monotonic());
    const head = isTooLarge ? tooLarge : readHead(raw, options, isEnd);
    if (head.kind !== "head") {
      serverStream.beginRefused(receiver);
      if (head.kind === "refused") this.#refuse(serverStream, head.details);
      else this.onMalformed(serverStream, head.details);
      return;
    }
    if (head.head.droppedHeaders > 0) {
      stats.counters.dropped_headers_with_underscores.inc(head.head.droppedHeaders);
    }
    // What a body follows has to be there for it.
    if (!stream.isRemoteEnded || this.#mayBegin) this.#begin(serverStream, head.head);
    else this.#waiting.push({ stream: serverStream, head: head.head });
    this.#countTurn();
  }

  /** Where resets come with the requests that they end, that shows within the turn, and nobody else has work with them. */
  get #mayBegin(): boolean {
    return this.#waiting.length === 0 && this.#begunOfTurn < requestsOfTurn && this.#resets.count < suspiciousResets;
  }

  #countTurn(): void {
    if (this.#isTurnCounted) return;
    this.#isTurnCounted = true;
    setImmediate(() => {
      this.#isTurnCounted = false;
      this.#begunOfTurn = 0;
      for (const { stream, head } of this.#waiting.splice(0, requestsOfTurn)) {
        if (!stream.isOver) this.#begin(stream, head);
      }
      if (this.#waiting.length > 0) this.#countTurn();
    });
  }

  #begin(stream: Http2Stream, head: Http2Head): void {
    const { connection, receiver } = this.#parts;
    this.#begunOfTurn += 1;
    stream.begin(receiver, head, connection.tls !== undefined);
  }

  /** By Envoy's default a malformed message ends its connection, whatever else is under way on it. */
  onMalformed(stream: Http2Stream, details: string): void {
    this.#parts.stats.counters.rx_messaging_error.inc();
    const { keepsConnection } = this.#parts.options;
    stream.refuse({ flags: ["DPE"], details }, keepsConnection ? errorCodes.protocol : undefined);
    if (keepsConnection) this.#session.countUseless();
    else throw protocolError(details);
  }

  /** Content that does not fit its length costs the stream alone, as with Envoy. */
  onWrongLength(stream: Http2Stream): void {
    stream.refuse({ flags: ["DPE"], details: "http2.remote_reset" }, errorCodes.protocol);
    this.#session.countUseless();
  }

  onOverflow(stream: Http2Stream): void {
    this.#refuse(stream, tooLarge.details);
  }

  takesTrailers(stream: Http2Stream, count: number): boolean {
    this.#parts.stats.counters.trailers.inc();
    if (count <= this.#parts.options.maxHeaders) return true;
    this.#refuse(stream, tooMany.details);
    return false;
  }

  #refuse(stream: Http2Stream, details: string): void {
    this.#parts.stats.counters[refusals.get(details) ?? "header_overflow"].inc();
    stream.refuse({ flags: ["DR"], details }, errorCodes.internal);
    this.#session.countUseless();
  }

  onPingAnswer(): void {
    this.#pingTimeout?.close();
    this.#pingTimeout = undefined;
  }

  /** A client that says goodbye is let go after the answers that it waits for. */
  onGoaway(): void {
    this.#isFinishing = true;
    if (this.#session.openStreams === 0) this.#end();
  }

  onClosed(): void {
    this.#parts.stats.streamsActive.dec();
    if (this.#isFinishing && this.#session.openStreams === 0) this.#end();
  }

  onFailure(error: ConnectionError): void {
    const { stats } = this.#parts;
    stats.counters.goaway_sent.inc();
    if (error instanceof FloodError && error.flood !== undefined) stats.counters[error.flood].inc();
    else this.#parts.onProtocolError();
    this.#end();
    // As with Envoy, whoever floods is not waited for.
    if (error instanceof FloodError) this.#parts.connection.close("reset");
  }

  /** Clients that begin streams only to reset them cost more than they are worth: their connection ends. */
  onReset(openedAt: number): void {
    if (this.#session.isOver) return;
    const { clock } = this.#parts;
    if (!this.#resets.addReset(clock.monotonic() - openedAt)) return;
    this.#parts.onPrematureResets();
    this.#session.fail(new FloodError("too many requests that are reset at once"));
  }

  onUnbegunReset(openedAt: number): void {
    this.#parts.onResetUnbegun();
    this.onReset(openedAt);
  }

  onOtherEnd(): void {
    this.#resets.addOther();
  }

  onResetFrame(direction: "rx_reset" | "tx_reset"): void {
    this.#parts.stats.counters[direction].inc();
  }

  #startKeepalive(): void {
    const { options, clock } = this.#parts;
    const { keepalive } = options;
    if (keepalive === undefined) return;
    this.#keepalive = clock.every(keepalive.intervalMs, () => {
      if (this.#isEnding || this.#pingTimeout !== undefined) return;
      this.#pingTimeout = clock.after(keepalive.timeoutMs, () => {
        this.#parts.stats.counters.keepalive_timeout.inc();
        this.#parts.connection.close("reset", "http2_ping_timeout");
      });
      this.#session.ping(pingPayload);
    });
  }

  /**
   * Lets go out what was written, and gives the client time to read it: a connection that is cut while bytes of the
   * client are unread loses the answers, too.
   */
  #end(): void {
    if (this.#isEnding || this.#isGone) return;
    this.#isEnding = true;
    this.#stopTimers();
    this.#session.flush();
    this.#session.destroy();
    const { connection, options, receiver, clock } = this.#parts;
    receiver.onClosing();
    if (options.delayedCloseMs === 0 || this.#stream.destroyed) {
      connection.close("flush");
      return;
    }
    this.#stream.resume();
    this.#stream.end();
    this.#lingering = clock.after(options.delayedCloseMs, () => {
      receiver.onDelayedClose();
      connection.close("reset");
    });
  }

  #stopTimers(): void {
    this.#keepalive?.close();
    this.#pingTimeout?.close();
    this.#lingering?.close();
  }

  /** The client is gone, and all that it asked for. */
  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#stopTimers();
    this.#session.destroy();
    this.#parts.connection.close("flush");
  }
}
