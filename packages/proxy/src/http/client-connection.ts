/** One connection of a client under a connection manager: its codec, its requests, its limits and its end. */
import { Socket } from "node:net";
import { Bag } from "../lib/bag.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import { createCodec } from "./choose-codec.ts";
import { detectionFailed } from "./client-address.ts";
import { clientClosed } from "./client-gone.ts";
import type { CodecConnection, CodecStream, RequestReceiver, StreamEvents } from "./codec-stream.ts";
import type { Manager } from "./connection-manager-parts.ts";
import type { LocalReply } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";
import { type Begun, HttpExchange } from "./http-exchange.ts";
import type { HttpProtocol, HttpRequest } from "./message.ts";
import { endIdleStream } from "./stream-limits.ts";

const headTimeout: LocalReply = { status: 408, body: "request header timeout", details: "request_header_timeout" };
/** Stands for the answer that a refused request does not get. */
const refused: LocalReply = { status: 400, details: "" };
const continueHeaders = new HeaderList();

export class ClientConnection implements RequestReceiver {
  readonly manager: Manager;
  readonly connection: DownstreamConnection;
  readonly #onEnd: (client: ClientConnection) => void;
  readonly #exchanges = new Bag<HttpExchange>();
  readonly #openedAt: number;
  #codec: CodecConnection | undefined;
  #protocol: "http1" | "http2" | undefined;
  #idleSince: number;
  #requests = 0;
  #drainStartedAt: number | undefined;
  #isClosedHere = false;
  #isOver = false;

  constructor(manager: Manager, connection: DownstreamConnection, onEnd: (client: ClientConnection) => void) {
    this.manager = manager;
    this.connection = connection;
    this.#onEnd = onEnd;
    this.#openedAt = manager.env.clock.monotonic();
    this.#idleSince = this.#openedAt;
    const { counters, gauges } = manager.stats;
    counters.cx_total.inc();
    gauges.cx_active.inc();
    if (connection.tls !== undefined) {
      counters.cx_ssl_total.inc();
      gauges.cx_ssl_active.inc();
    }
  }

  /** Begins to read. */
  start(): void {
    createCodec(this, (codec, protocol) => {
      if (this.#isOver) return;
      this.#codec = codec;
      this.#protocol = protocol;
      const { counters, gauges } = this.manager.stats;
      counters[`cx_${protocol}_total`].inc();
      gauges[`cx_${protocol}_active`].inc();
      if (this.connection.isDraining) this.drain();
    });
    this.connection.onDrain(() => this.drain());
    this.connection.onClose(() => this.#finish());
  }

  get isDraining(): boolean {
    return this.#drainStartedAt !== undefined || this.connection.isDraining;
  }

  onRequest(stream: CodecStream, request: HttpRequest): StreamEvents {
    const exchange = this.#begin(stream, { request });
    const { counters } = this.manager.stats;
    counters.rq_total.inc();
    counters[request.protocol === "HTTP/2" ? "rq_http2_total" : "rq_http1_total"].inc();
    const { settings } = this.manager;
    if (settings.maxRequestsPerConnection > 0 && this.#requests >= settings.maxRequestsPerConnection) {
      counters.cx_max_requests_reached.inc();
      this.drain();
    }
    if (!settings.proxies100 && request.headers.has("expect")) meetExpectation(stream, request.headers);
    return exchange;
  }

  onMalformedHead(stream: CodecStream, reply: LocalReply): StreamEvents {
    const isHttp2 = this.#protocol === "http2";
    const exchange = this.#begin(stream, { request: unreadRequest(isHttp2 ? "HTTP/2" : "HTTP/1.1"), malformed: reply });
    const { counters } = this.manager.stats;
    counters.rq_total.inc();
    if (isHttp2) counters.rq_http2_total.inc();
    if (reply !== headTimeout) counters.cx_protocol_error.inc();
    return exchange;
  }

  onRefusedHead(stream: CodecStream): StreamEvents {
    const exchange = this.#begin(stream, { request: unreadRequest("HTTP/2"), malformed: refused });
    const { counters } = this.manager.stats;
    counters.rq_total.inc();
    counters.rq_http2_total.inc();
    return exchange;
  }

  #begin(stream: CodecStream, begun: Begun): HttpExchange {
    const exchange = new HttpExchange(this, stream, begun);
    this.#exchanges.add(exchange);
    this.#requests += 1;
    this.manager.stats.gauges.rq_active.inc();
    return exchange;
  }

  onExchangeEnd(exchange: HttpExchange): void {
    if (!this.#exchanges.delete(exchange)) return;
    this.manager.stats.gauges.rq_active.dec();
    if (this.#exchanges.size === 0) this.#idleSince = exchange.info.endedAt ?? this.manager.env.clock.monotonic();
  }

  /** Whether the connection ends with this answer. In HTTP/2 streams end by themselves. */
  isLastAnswer(stream: CodecStream): boolean {
    if (this.#protocol === "http2") return false;
    if (this.isDraining) this.manager.stats.counters.cx_drain_close.inc();
    return stream.wantsClose || !stream.isRequestComplete || this.isDraining;
  }

  /** Counts a request that the rules refuse or redirect. True where its connection ends with that. */
  countRefusal({ status, details }: LocalReply): boolean {
    const { counters } = this.manager.stats;
    if (details === "absolute_path_rejected") counters.rq_non_relative_path.inc();
    else if (details === detectionFailed) counters.rq_rejected_via_ip_detection.inc();
    else if (status === 307) counters.rq_redirected_with_normalized_path.inc();
    else if (status === 400) counters.rq_failed_path_normalization.inc();
    return status === 400;
  }

  onClosing(): void {
    this.#isClosedHere = true;
  }

  onDelayedClose(): void {
    this.manager.stats.counters.cx_delayed_close_timeout.inc();
  }

  /** The client must not begin anything more here: the connection ends when what is under way is done. */
  drain(): void {
    if (this.#drainStartedAt !== undefined) return;
    this.#drainStartedAt = this.manager.env.clock.monotonic();
    this.#codec?.startDrain();
  }

  /** Looks for limits that were reached; called every so often, with the time. */
  sweep(now: number): void {
    const { timeouts } = this.manager.settings;
    const { counters } = this.manager.stats;
    for (const exchange of this.#exchanges.list()) this.#sweepExchange(exchange, now);
    const headAt = this.#codec?.headStartedAt;
    if (timeouts.headMs > 0 && headAt !== undefined && now - headAt >= timeouts.headMs) {
      counters.rq_header_timeout.inc();
      this.#codec?.refuseLateHead(headTimeout);
    }
    if (this.#drainStartedAt !== undefined) {
      // A client of HTTP/1 cannot be warned but by an answer: what is idle is left to whoever drains the listener.
      const canEnd = this.#protocol === "http2" || !this.connection.isDraining;
      if (canEnd && now - this.#drainStartedAt >= timeouts.drainMs) this.#codec?.finishDrain();
      return;
    }
    const isIdle = this.#exchanges.size === 0;
    if (isIdle && timeouts.connectionIdleMs > 0 && now - this.#idleSince >= timeouts.connectionIdleMs) {
      counters.cx_idle_timeout.inc();
      this.#end("idle_timeout");
    } else if (timeouts.connectionDurationMs > 0 && now - this.#openedAt >= timeouts.connectionDurationMs) {
      counters.cx_max_duration_reached.inc();
      this.drain();
    }
  }

  #end(details: string): void {
    this.#isClosedHere = true;
    if (this.#codec === undefined) this.connection.close("flush", details);
    else {
      this.drain();
      this.#codec.finishDrain();
    }
  }

  #sweepExchange(exchange: HttpExchange, now: number): void {
    const { timeouts } = this.manager.settings;
    const { counters } = this.manager.stats;
    const { stream } = exchange;
    exchange.noteTraffic(now);
    const { periodMs } = this.manager.settings.logging;
    if (periodMs > 0 && now - exchange.loggedAt >= periodMs) {
      exchange.loggedAt = now;
      exchange.logPeriodically();
    }
    const idleMs = exchange.idleTimeoutMs ?? timeouts.streamIdleMs;
    if (idleMs > 0 && now - exchange.seenAt >= idleMs) {
      endIdleStream(exchange, counters);
      return;
    }
    const age = now - exchange.info.startedAt;
    if (timeouts.requestMs > 0 && age >= timeouts.requestMs && !stream.isRequestComplete) {
      counters.rq_timeout.inc();
      exchange.interrupt({ status: 408, body: "request timeout", details: "request_overall_timeout" });
    }
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { counters, gauges, connectionLength } = this.manager.stats;
    const hadRequests = this.#exchanges.size > 0;
    counters.cx_destroy.inc();
    counters[this.#isClosedHere ? "cx_destroy_local" : "cx_destroy_remote"].inc();
    if (hadRequests) {
      counters.cx_destroy_active_rq.inc();
      counters[this.#isClosedHere ? "cx_destroy_local_active_rq" : "cx_destroy_remote_active_rq"].inc();
    }
    const { stream } = this.connection;
    if (stream instanceof Socket) {
      counters.cx_rx_bytes_total.inc(stream.bytesRead);
      counters.cx_tx_bytes_total.inc(stream.bytesWritten);
    }
    gauges.cx_active.dec();
    if (this.connection.tls !== undefined) gauges.cx_ssl_active.dec();
    if (this.#protocol !== undefined) gauges[`cx_${this.#protocol}_active`].dec();
    connectionLength.record(this.manager.env.clock.monotonic() - this.#openedAt);
    for (const exchange of this.#exchanges.list()) exchange.onGone(clientClosed());
    this.#onEnd(this);
  }

  /** The chain of filters is gone, and the connection with it. */
  close(): void {
    this.#isClosedHere = true;
    this.connection.close("reset", "");
  }
}

/** "100-continue" is met here, and said no further; what else is expected is for whoever answers to judge. */
function meetExpectation(stream: CodecStream, headers: HeaderList): void {
  const expected = headers.joined("expect") ?? "";
  if (expected.toLowerCase() === "100-continue") {
    headers.remove("expect");
    stream.inform(100, continueHeaders);
  } else headers.set("expect", expected);
}

/** Stands for a request whose head could not be read. */
function unreadRequest(protocol: HttpProtocol): HttpRequest {
  return {
    method: "",
    scheme: "http",
    authority: "",
    path: "",
    headers: new HeaderList(),
    body: undefined,
    protocol,
    upgrade: undefined,
  };
}
