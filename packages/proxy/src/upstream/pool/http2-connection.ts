/** One HTTP/2 connection of a pool: as many requests at a time as both sides allow. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ConnectionError } from "@meltemi/http2/error-codes";
import { Session } from "@meltemi/http2/session";
import type { SessionEvents } from "@meltemi/http2/session-parts";
import type { PeerSettings } from "@meltemi/http2/settings";
import type { Timer } from "../../lib/clock.ts";
import { UpstreamError } from "../types.ts";
import type { Dialed, SocketReader } from "./dial.ts";
import { Http2RequestStream, type StreamOwner } from "./http2-stream.ts";
import type { PoolStats } from "./pool-stats.ts";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.ts";
import type { Http2KeepAlive } from "./protocol-options.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

const pingPayload = Buffer.alloc(8);

export class Http2Connection implements PooledConnection, StreamOwner, SessionEvents {
  readonly protocol = "HTTP/2";
  readonly session: Session;
  readonly stats: PoolStats;
  readonly resetsStreamsOnly: boolean;
  idleSince = 0;
  isReady = false;
  readonly #owner: ConnectionOwner;
  readonly #dialed: Dialed;
  #active = 0;
  readonly #timers: Timer[] = [];
  #pingTimer: Timer | undefined;
  #remoteLimit = Number.POSITIVE_INFINITY;
  #requests = 0;
  #sentBytes = 0;
  #isDraining = false;
  #isClosed = false;
  #isClosedHere = false;
  #hasLostRequests = false;

  /** `reader` gets the bytes of a socket that has one. */
  constructor(dialed: Dialed, reader: SocketReader | undefined, owner: ConnectionOwner) {
    const { http2, maxHeaders, maxHeaderBytes } = owner.options;
    this.#owner = owner;
    this.#dialed = dialed;
    this.stats = owner.stats;
    this.resetsStreamsOnly = http2.resetsStreamsOnly;
    const settings = {
      headerTableSize: http2.headerTableSize,
      initialWindowSize: http2.streamWindow,
      enablePush: false,
    } as const;
    this.session = new Session({
      stream: dialed.stream,
      options: { ...http2, role: "client", settings, maxHeaders, maxHeadBytes: maxHeaderBytes },
      events: this,
      clock: owner.clock,
    });
    owner.stats.upstream_cx_http2_total.inc();
    this.#listen(reader);
    this.#startTimers();
  }

  get capacity(): number {
    if (this.#isDraining || this.isGone) return 0;
    const { maxConcurrentStreams } = this.#owner.options.http2;
    return Math.max(0, Math.min(maxConcurrentStreams, this.#remoteLimit) - this.#active);
  }

  get active(): number {
    return this.#active;
  }

  get isGone(): boolean {
    return this.#isClosed || this.session.isOver || this.#dialed.stream.destroyed;
  }

  start(exchange: UpstreamExchange): void {
    exchange.activate(this);
    let stream: Http2RequestStream;
    try {
      this.#checkIdle();
      stream = new Http2RequestStream(exchange, this);
    } catch (cause: unknown) {
      const failure = this.isGone ? "connection-termination" : "protocol-error";
      exchange.fail(new UpstreamError(failure, { host: this.#owner.host, cause }));
      return;
    }
    exchange.stream = stream;
    this.#active++;
    this.#requests++;
    const { maxRequestsPerConnection } = this.#owner.options;
    const isLast = maxRequestsPerConnection > 0 && this.#requests === maxRequestsPerConnection;
    if (isLast) this.stats.upstream_cx_max_requests.inc();
    if (isLast || this.session.isExhausted) this.#isDraining = true;
    exchange.request.onSent?.(this.#dialed.localAddress);
    stream.begin();
  }

  abort(exchange: UpstreamExchange, error: UpstreamError): void {
    exchange.stream?.abort(undefined, error);
  }

  onStreamEnd(exchange: UpstreamExchange, error: UpstreamError | undefined): void {
    exchange.stream = undefined;
    this.#active--;
    // Streams are told of the end of their connection before it is.
    if (error?.failure === "connection-termination") this.#hasLostRequests = true;
    // Where the session has ended, it says itself how.
    if (this.#isClosed || this.isGone) return;
    if (!this.#isDraining) this.#owner.onCapacity(this);
    else if (this.#active === 0) this.close();
  }

  drain(): void {
    this.#isDraining = true;
    this.#owner.onDraining(this);
    if (this.#active === 0) this.close();
  }

  close(): void {
    this.#isClosedHere = true;
    // Says goodbye before it goes, to a server that is owed nothing.
    if (this.#active === 0 && !this.isGone) {
      this.session.refuseStreams();
      this.session.flush();
    }
    this.#end();
  }

  #listen(reader: SocketReader | undefined): void {
    const { stream } = this.#dialed;
    if (reader) reader.receive = (buffer, length) => this.#receive(buffer.subarray(0, length));
    else stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    stream.on("error", () => undefined);
    stream.once("end", () => this.#end());
    stream.once("close", () => this.#end());
    // With a reader that is all that it does: the end is told to streams that flow.
    stream.resume();
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return;
    this.stats.upstream_cx_rx_bytes_total.inc(chunk.length);
    this.session.feed(chunk);
    this.#countSent();
  }

  /** Bytes that were handed to the socket since it was last asked. */
  #countSent(): void {
    const { bytesWritten = 0 } = this.#dialed.stream as Partial<Socket>;
    this.stats.upstream_cx_tx_bytes_total.inc(bytesWritten - this.#sentBytes);
    this.#sentBytes = bytesWritten;
  }

  onGoaway(): void {
    this.stats.upstream_cx_close_notify.inc();
    this.drain();
  }

  onSettings({ maxConcurrentStreams }: PeerSettings): void {
    if (maxConcurrentStreams !== undefined) this.#remoteLimit = maxConcurrentStreams;
    if (!this.#isClosed && !this.#isDraining) this.#owner.onCapacity(this);
  }

  /** The server has broken the protocol: GOAWAY is on its way. */
  onFailure(_error: ConnectionError): void {
    this.stats.upstream_cx_protocol_error.inc();
    this.#isClosedHere = true;
    this.#end();
  }

  onPingAnswer(): void {
    this.#pingTimer?.close();
    this.#pingTimer = undefined;
  }

  onClosed(): void {
    // Requests tell themselves when they are over.
  }

  onResetFrame(): void {
    // Requests tell how they ended.
  }

  #startTimers(): void {
    const { clock, options, random } = this.#owner;
    const { maxConnectionDurationMs, http2 } = options;
    if (maxConnectionDurationMs > 0) {
      const end = () => {
        this.stats.upstream_cx_max_duration_reached.inc();
        this.drain();
      };
      this.#timers.push(clock.after(maxConnectionDurationMs, end));
    }
    const { keepAlive } = http2;
    if (keepAlive === undefined || keepAlive.intervalMs <= 0) return;
    // Not all connections at the same moment.
    const period = keepAlive.intervalMs * (1 + keepAlive.jitter * random());
    this.#timers.push(clock.every(period, () => this.#ping(keepAlive)));
  }

  /** A connection that nobody used for long may be dead without anyone knowing. */
  #checkIdle(): void {
    const { keepAlive } = this.#owner.options.http2;
    if (keepAlive === undefined || keepAlive.idleMs <= 0 || this.#active > 0 || this.idleSince === 0) return;
    if (this.#owner.clock.monotonic() - this.idleSince > keepAlive.idleMs) this.#ping(keepAlive);
  }

  #ping({ timeoutMs }: Http2KeepAlive): void {
    if (this.isGone || this.#pingTimer !== undefined) return;
    this.#pingTimer = this.#owner.clock.after(timeoutMs, () => {
      this.#isClosedHere = true;
      this.#end();
    });
    this.session.ping(pingPayload);
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) timer.close();
    this.#pingTimer?.close();
    this.#countSent();
    this.session.destroy();
    endSoon(this.#dialed.stream);
    const by = this.#isClosedHere ? "local" : "remote";
    this.stats[`upstream_cx_destroy_${by}`].inc();
    if (this.#active > 0 || this.#hasLostRequests) {
      this.stats.upstream_cx_destroy_with_active_rq.inc();
      this.stats[`upstream_cx_destroy_${by}_with_active_rq`].inc();
    }
    this.#owner.onClosed(this);
  }
}

/** Ends a connection behind what was written to it. */
function endSoon(stream: Duplex): void {
  if (stream.destroyed) return;
  stream.resume();
  stream.end(() => stream.destroy());
}
