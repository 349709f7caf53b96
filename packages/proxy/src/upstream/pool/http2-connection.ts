/** One HTTP/2 connection of a pool: as many requests at a time as both sides allow. */
import { type ClientHttp2Session, connect } from "node:http2";
import type { Timer } from "../../lib/clock.ts";
import { UpstreamError } from "../types.ts";
import type { Dialed } from "./dial.ts";
import { Http2RequestStream, isProtocolError, type StreamOwner } from "./http2-stream.ts";
import type { PoolStats } from "./pool-stats.ts";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.ts";
import type { Http2KeepAlive, ProtocolOptions } from "./protocol-options.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

export class Http2Connection implements PooledConnection, StreamOwner {
  readonly protocol = "HTTP/2";
  readonly session: ClientHttp2Session;
  readonly stats: PoolStats;
  idleSince = 0;
  isReady = false;
  readonly #owner: ConnectionOwner;
  readonly #dialed: Dialed;
  #active = 0;
  readonly #timers: Timer[] = [];
  #pingTimer: Timer | undefined;
  #remoteLimit = Number.POSITIVE_INFINITY;
  #requests = 0;
  #isDraining = false;
  #isClosed = false;
  #isClosedHere = false;
  #hasLostRequests = false;

  constructor(dialed: Dialed, owner: ConnectionOwner) {
    this.#owner = owner;
    this.#dialed = dialed;
    this.stats = owner.stats;
    this.session = openSession(dialed, owner.options);
    owner.stats.upstream_cx_http2_total.inc();
    this.#listen();
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
    return this.#isClosed || this.session.destroyed || this.#dialed.stream.destroyed;
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
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) this.#isDraining = true;
    exchange.request.onSent?.(this.#dialed.localAddress);
    stream.begin();
  }

  abort(exchange: UpstreamExchange): void {
    exchange.stream?.abort();
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
    if (this.#active > 0) this.session.destroy();
    // Says GOAWAY before it goes.
    else this.session.close();
    this.#end();
  }

  #listen(): void {
    const { session } = this;
    session.on("error", (cause) => this.#onError(cause));
    session.once("close", () => this.#end());
    session.once("goaway", () => {
      this.stats.upstream_cx_close_notify.inc();
      this.drain();
    });
    session.on("remoteSettings", ({ maxConcurrentStreams }) => {
      this.#remoteLimit = maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
      if (!this.#isClosed && !this.#isDraining) this.#owner.onCapacity(this);
    });
    this.#dialed.stream.on("error", () => undefined);
    session.setLocalWindowSize(this.#owner.options.http2.connectionWindow);
  }

  #onError(cause: Error): void {
    if (!isProtocolError(cause)) return;
    this.stats.upstream_cx_protocol_error.inc();
    this.#isClosedHere = true;
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
      this.session.destroy();
    });
    this.session.ping(() => {
      this.#pingTimer?.close();
      this.#pingTimer = undefined;
    });
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) timer.close();
    this.#pingTimer?.close();
    const by = this.#isClosedHere ? "local" : "remote";
    this.stats[`upstream_cx_destroy_${by}`].inc();
    if (this.#active > 0 || this.#hasLostRequests) {
      this.stats.upstream_cx_destroy_with_active_rq.inc();
      this.stats[`upstream_cx_destroy_${by}_with_active_rq`].inc();
    }
    this.#owner.onClosed(this);
  }
}

function openSession({ stream }: Dialed, { http2, maxHeaders }: ProtocolOptions): ClientHttp2Session {
  return connect("http://upstream", {
    createConnection: () => stream,
    settings: {
      enablePush: false,
      initialWindowSize: http2.streamWindow,
      ...(http2.headerTableSize !== undefined && { headerTableSize: http2.headerTableSize }),
    },
    // Pseudo headers count, too.
    maxHeaderListPairs: maxHeaders + 4,
    // What waits to be written is bounded by the buffers of each stream, not by this (MB).
    maxSessionMemory: 1000,
  });
}
