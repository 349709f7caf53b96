/** One HTTP/1.1 connection of a pool: a request at a time, its answer, then the next. */
import type { Duplex } from "node:stream";
import type { HeaderList } from "../../http/header-list.ts";
import type { Timer } from "../../lib/clock.ts";
import { ReadTurns } from "../../lib/read-turns.ts";
import { UpstreamError, type UpstreamFailure } from "../types.ts";
import type { Dialed, SocketReader } from "./dial.ts";
import { encodeRequestHead } from "./http1-encode.ts";
import type { ResponseHead } from "./http1-head.ts";
import { Http1ResponseParser, type ParserLimits, type ResponseEvents } from "./http1-parser.ts";
import { Http1RequestWriter, type RequestWriterOwner } from "./http1-request-writer.ts";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.ts";
import { type BodyOwner, ResponseBody } from "./response-body.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

export class Http1Connection implements PooledConnection, ResponseEvents, RequestWriterOwner, BodyOwner {
  readonly protocol = "HTTP/1.1";
  readonly stream: Duplex;
  idleSince = 0;
  isReady = false;
  readonly #owner: ConnectionOwner;
  readonly #parser: Http1ResponseParser;
  readonly #localAddress: string;
  readonly #durationTimer: Timer | undefined;
  readonly #turns: ReadTurns;
  #exchange: UpstreamExchange | undefined;
  #body: ResponseBody | undefined;
  #writer: Http1RequestWriter | undefined;
  #requests = 0;
  #isRequestDone = true;
  #isResponseDone = true;
  #isReusable = true;
  #isReading = false;
  #isPaused = false;
  #isClosed = false;
  #trailers: HeaderList | undefined;

  constructor(dialed: Dialed, reader: SocketReader | undefined, owner: ConnectionOwner) {
    this.stream = dialed.stream;
    this.#owner = owner;
    this.#localAddress = dialed.localAddress;
    this.#parser = new Http1ResponseParser(buildLimits(owner), this);
    owner.stats.upstream_cx_http1_total.inc();
    const { maxConnectionDurationMs } = owner.options;
    if (maxConnectionDurationMs > 0) {
      this.#durationTimer = owner.clock.after(maxConnectionDurationMs, () => {
        owner.stats.upstream_cx_max_duration_reached.inc();
        this.drain();
      });
    }
    const mayGoOn = (): boolean => !this.#isPaused && !this.#isClosed;
    this.#turns = new ReadTurns(this.stream, { hasReader: reader !== undefined, mayGoOn });
    this.#listen(reader);
  }

  get capacity(): number {
    return this.#exchange === undefined && this.#isReusable && !this.#isClosed ? 1 : 0;
  }

  get active(): number {
    return this.#exchange === undefined ? 0 : 1;
  }

  start(exchange: UpstreamExchange): void {
    const { request } = exchange;
    const { options, host } = this.#owner;
    const head = encodeRequestHead(request, options.http1);
    this.#exchange = exchange;
    exchange.activate(this);
    if (head === undefined) {
      this.#exchange = undefined;
      exchange.fail(new UpstreamError("protocol-error", { host }));
      this.#owner.onCapacity(this);
      return;
    }
    this.#requests++;
    const { maxRequestsPerConnection } = options;
    if (maxRequestsPerConnection > 0 && this.#requests >= maxRequestsPerConnection) {
      this.#isReusable = false;
      this.#owner.stats.upstream_cx_max_requests.inc();
    }
    this.#isResponseDone = false;
    this.#parser.expect(request.method, request.upgrade !== undefined);
    this.onRequestBytes(head.text.length);
    const { body } = request;
    const hasBody = body !== undefined && head.framing !== "none";
    this.#isRequestDone = !hasBody;
    if (hasBody) {
      const { hasTrailers } = options.http1;
      this.#writer = new Http1RequestWriter(body, this, { framing: head.framing, length: head.length, hasTrailers });
      this.stream.cork();
      this.stream.write(head.text, "latin1");
      request.onSent?.(this.#localAddress);
      // What a client of an upgrade sends goes on when the server has agreed.
      if (head.framing !== "raw") this.#writer.begin();
      this.stream.uncork();
    } else {
      this.stream.write(head.text, "latin1");
      request.onSent?.(this.#localAddress);
      // A body that the head does not announce is not sent: there is none, by content-length: 0.
      body?.cancel();
    }
  }

  abort(exchange: UpstreamExchange, error?: UpstreamError): void {
    if (this.#exchange !== exchange) return;
    // No upstream_rq_tx_reset, here or below: that counts frames, and HTTP/1 has none to reset a request with.
    this.#exchange = undefined;
    this.#destroy("local", true);
    this.#body?.fail(error ?? new UpstreamError("local-reset", { host: this.#owner.host, isSent: true }));
  }

  drain(): void {
    this.#isReusable = false;
    this.#owner.onDraining(this);
    if (this.#exchange === undefined) this.#destroy("local", false);
  }

  close(): void {
    this.#fail("connection-termination", "local");
  }

  // --- the server's bytes ---

  #listen(reader: SocketReader | undefined): void {
    const { stream } = this;
    if (reader) reader.receive = (buffer, length) => this.#receive(buffer, length);
    else stream.on("data", (chunk: Buffer) => this.#receive(chunk, chunk.length));
    stream.on("drain", () => this.#writer?.resume());
    stream.on("error", () => undefined);
    stream.once("end", () => this.#onServerEnd());
    stream.once("close", () => this.#fail("connection-termination", "remote"));
    // With a reader that is all that it does: the end is told to streams that flow.
    stream.resume();
  }

  #receive(buffer: Buffer, length: number): void {
    if (this.#isClosed) return;
    const { stats } = this.#owner;
    stats.upstream_cx_rx_bytes_total.inc(length);
    if (this.#exchange !== undefined) this.#exchange.received += length;
    this.#isReading = true;
    try {
      this.#parser.execute(buffer, 0, length);
    } catch (cause: unknown) {
      this.#isReading = false;
      stats.upstream_cx_protocol_error.inc();
      if (this.#isResponseDone && this.#exchange) {
        // The answer was whole; what came behind it costs the connection alone.
        this.#isReusable = false;
        this.#finish();
      } else this.#fail("protocol-error", "local", cause);
      return;
    }
    this.#isReading = false;
    // Only now: bytes behind an answer belong to no request, and must not find the next one.
    if (this.#isResponseDone) this.#finish();
    else if (this.#body?.isBlocked === true) this.#pause();
    else this.#turns.count(length);
  }

  onInformation({ status, headers }: ResponseHead): void {
    this.#exchange?.request.onInformation?.(status, headers);
  }

  onHead(head: ResponseHead, hasBody: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const { status, headers, contentLength, isKeptAlive } = head;
    if (!isKeptAlive) this.#isReusable = false;
    const isAgreed = status === 101 || (exchange.request.upgrade === "connect" && status >= 200 && status < 300);
    if (exchange.request.upgrade !== undefined) this.#answerUpgrade(isAgreed);
    this.#body = hasBody ? new ResponseBody(this, isAgreed ? undefined : contentLength) : undefined;
    exchange.answer({ status, headers, body: this.#body, protocol: "HTTP/1.1" });
  }

  #answerUpgrade(isAgreed: boolean): void {
    // Also where the server refuses: what it takes for a tunnel is no place for another request.
    this.#isReusable = false;
    if (isAgreed) {
      this.#writer?.begin();
      return;
    }
    this.#writer?.cancel();
    this.#isRequestDone = true;
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    // A copy: the memory below is read into again, or would be held for as long as a small piece of it.
    this.#body?.push(Buffer.from(buffer.subarray(start, end)));
  }

  onEnd(trailers: HeaderList | undefined): void {
    this.#isResponseDone = true;
    this.#trailers = trailers;
  }

  #onServerEnd(): void {
    // An answer without a length ends so; one that is being read slowly has been kept, and is given on.
    if (!this.#isClosed && this.#parser.finish()) {
      this.#isReusable = false;
      this.#finish();
    }
    // What breaks off is a bad answer, for Envoy too; one of which nothing came is none.
    if (!this.#isClosed && (this.#parser.isInHead || this.#body !== undefined))
      this.#owner.stats.upstream_cx_protocol_error.inc();
    // As for Envoy, a head that breaks off is a bad answer, and none at all is a connection that was lost.
    this.#fail(this.#parser.isInHead ? "protocol-error" : "connection-termination", "remote");
  }

  /** The answer is whole. */
  #finish(): void {
    const exchange = this.#exchange;
    const body = this.#body;
    this.#exchange = undefined;
    this.#body = undefined;
    const isReused = this.#isRequestDone && this.#isReusable && !this.#isClosed;
    if (isReused) this.#writer = undefined;
    else this.#destroy(this.stream.readableEnded ? "remote" : "local", !this.#isRequestDone);
    exchange?.end();
    body?.finish(this.#trailers);
    this.#trailers = undefined;
    if (!isReused) return;
    if (this.#isPaused) this.#unpause();
    this.#owner.onCapacity(this);
  }

  // --- the request ---

  onRequestBytes(count: number): void {
    this.#owner.stats.upstream_cx_tx_bytes_total.inc(count);
    if (this.#exchange !== undefined) this.#exchange.sent += count;
  }

  onRequestEnd(): void {
    this.#isRequestDone = true;
  }

  onRequestAbort(cause: Error): void {
    this.#fail("local-reset", "local", cause);
  }

  // --- back-pressure of the answer ---

  resumeReading(): void {
    if (this.#isPaused) this.#unpause();
  }

  cancelReading(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.abort(exchange);
    exchange.end();
  }

  #pause(): void {
    if (this.#isPaused || this.#isClosed) return;
    this.#isPaused = true;
    this.#owner.stats.upstream_flow_control_paused_reading_total.inc();
    this.stream.pause();
  }

  #unpause(): void {
    this.#isPaused = false;
    if (this.#isClosed || this.#isReading) return;
    this.#owner.stats.upstream_flow_control_resumed_reading_total.inc();
    this.stream.resume();
  }

  // --- the end ---

  #fail(failure: UpstreamFailure, by: "local" | "remote", cause?: unknown): void {
    if (this.#isClosed) return;
    const exchange = this.#exchange;
    const body = this.#body;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#destroy(by, exchange !== undefined);
    if (exchange === undefined) return;
    const error = new UpstreamError(failure, { host: this.#owner.host, isSent: true, cause });
    exchange.fail(error);
    body?.fail(error);
  }

  #destroy(by: "local" | "remote", isActive: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { stats } = this.#owner;
    stats[`upstream_cx_destroy_${by}`].inc();
    if (isActive) {
      stats.upstream_cx_destroy_with_active_rq.inc();
      stats[`upstream_cx_destroy_${by}_with_active_rq`].inc();
    }
    this.#durationTimer?.close();
    this.#writer?.cancel();
    this.stream.destroy();
    this.#owner.onClosed(this);
  }
}

function buildLimits({ options }: ConnectionOwner): ParserLimits {
  return {
    maxHeaders: options.maxHeaders,
    maxHeaderBytes: options.maxHeaderBytes,
    hasTrailers: options.http1.hasTrailers,
    keepsSpelling: options.http1.headerCase === "preserve",
    allowsChunkedLength: options.http1.allowsChunkedLength,
  };
}
