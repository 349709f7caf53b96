/** One request on an HTTP/2 connection. */

import { ConnectionError, type ErrorCode, errorCodes, protocolError } from "@meltemi/http2/error-codes";
import type { Session } from "@meltemi/http2/session";
import type { SessionStream, StreamHandler } from "@meltemi/http2/session-stream";
import type { BodySink } from "../../http/body.ts";
import type { HeaderList } from "../../http/header-list.ts";
import { formatTrailers } from "../../http/http2/write-head.ts";
import { UpstreamError, type UpstreamFailure } from "../types.ts";
import { decodeAnswer, decodeTrailers, encodeRequestHeaders } from "./http2-headers.ts";
import type { PoolStats } from "./pool-stats.ts";
import { type BodyOwner, ResponseBody } from "./response-body.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

export interface StreamOwner {
  readonly session: Session;
  readonly stats: PoolStats;
  /** False: an answer that breaks the rules ends the connection, not its stream alone. */
  readonly resetsStreamsOnly: boolean;
  /** True where the connection itself has ended. */
  readonly isGone: boolean;
  /** The stream is over in both directions; `error` says why before its time. */
  onStreamEnd(exchange: UpstreamExchange, error: UpstreamError | undefined): void;
}

export class Http2RequestStream implements BodySink, BodyOwner, StreamHandler {
  /** Undefined when it is over. */
  #exchange: UpstreamExchange | undefined;
  readonly #owner: StreamOwner;
  readonly #stream: SessionStream;
  readonly #isHead: boolean;
  #body: ResponseBody | undefined;
  #isAnswered = false;
  #trailers: HeaderList | undefined;
  /** Bytes of content that the answer has said it has. */
  #promised: number | undefined;
  #received = 0;
  /** Bytes that nobody has taken yet, and that the server may not send more for. */
  #unread = 0;
  #isRequestDone: boolean;

  /** Sends the head. Throws where a header cannot be written. */
  constructor(exchange: UpstreamExchange, owner: StreamOwner) {
    const { request } = exchange;
    const hasBody = request.body !== undefined || request.upgrade !== undefined;
    this.#exchange = exchange;
    this.#owner = owner;
    this.#isHead = request.method === "HEAD";
    this.#isRequestDone = !hasBody;
    this.#stream = owner.session.open(encodeRequestHeaders(request), !hasBody);
    this.#stream.handler = this;
  }

  /** Begins to send the body: where the request is no upgrade, which has to be accepted first. */
  begin(): void {
    const request = this.#exchange?.request;
    if (request?.upgrade === undefined) request?.body?.pipe(this);
  }

  /** Nobody wants an answer any more, or the client's body broke off. */
  abort(cause?: Error, error = new UpstreamError("local-reset", { isSent: true, cause })): void {
    if (this.#exchange === undefined) return;
    this.#owner.stats.upstream_rq_tx_reset.inc();
    this.#finish(error);
  }

  onHeaders(raw: string[]): void {
    try {
      if (this.#isAnswered) this.#onTrailers(raw);
      else this.#onAnswer(raw);
    } catch (cause: unknown) {
      if (!(cause instanceof ConnectionError)) throw cause;
      this.#onMalformed(cause);
    }
  }

  #onAnswer(raw: string[]): void {
    const { isRemoteEnded } = this.#stream;
    const { status, headers, contentLength } = decodeAnswer(raw);
    // There is no switching of protocols in HTTP/2 (RFC 9113, section 8.6), and 1xx is not the last word.
    if (status === 101 || (status < 200 && isRemoteEnded)) throw protocolError("an answer without an end");
    if (status < 200) {
      this.#exchange?.request.onInformation?.(status, headers);
      return;
    }
    this.#answer({ status, headers, contentLength });
    if (isRemoteEnded) this.onEnd();
  }

  #answer({ status, headers, contentLength }: ReturnType<typeof decodeAnswer>): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#isAnswered = true;
    const { upgrade } = exchange.request;
    const isAgreed = upgrade !== undefined && status < 300;
    const hasContent = !this.#isHead && status !== 204 && status !== 304;
    this.#promised = isAgreed || !hasContent ? undefined : contentLength;
    if (isAgreed) exchange.request.body?.pipe(this);
    else if (upgrade !== undefined) this.#cancelRequest();
    if (!this.#stream.isRemoteEnded) this.#body = new ResponseBody(this, isAgreed ? undefined : contentLength);
    // To the rest of the proxy an upgrade is what HTTP/1.1 makes of it (RFC 8441, section 4).
    const isWebSocket = isAgreed && upgrade !== "connect";
    if (isWebSocket) headers.raw.push("connection", "upgrade", "upgrade", upgrade);
    exchange.answer({ status: isWebSocket ? 101 : status, headers, body: this.#body, protocol: "HTTP/2" });
  }

  #onTrailers(raw: string[]): void {
    if (!this.#stream.isRemoteEnded) throw protocolError("a second head");
    this.#trailers = decodeTrailers(raw);
    this.onEnd();
  }

  onData(bytes: Buffer): void {
    const { length } = bytes;
    this.#unread += length;
    this.#received += length;
    if (!this.#isAnswered) {
      this.#onMalformed(protocolError("content before a head"));
      return;
    }
    if (this.#promised !== undefined && this.#received > this.#promised) {
      this.#reset(errorCodes.protocol);
      return;
    }
    if (this.#exchange !== undefined) this.#exchange.received += length;
    this.#body?.push(bytes);
    if (this.#body?.isBlocked !== true) this.#consume();
  }

  onEnd(): void {
    if (this.#promised !== undefined && this.#received < this.#promised) {
      this.#reset(errorCodes.protocol);
      return;
    }
    // What has come has to be taken first: as long as it waits here, the connection is not to bring more for others.
    if (this.#body?.isBlocked !== true) this.#finish(undefined);
  }

  onOverflow(): void {
    this.#reset(errorCodes.internal);
  }

  /** By Envoy's default an answer that breaks the rules costs the connection, whatever else is under way on it. */
  #onMalformed(cause: ConnectionError): void {
    if (!this.#owner.resetsStreamsOnly) throw cause;
    this.#reset(errorCodes.protocol);
  }

  /** The answer cannot be read any further. */
  #reset(code: ErrorCode): void {
    this.#owner.stats.upstream_rq_tx_reset.inc();
    this.#finish(new UpstreamError("protocol-error", { isSent: true }), code);
  }

  /** The server has reset it, or the connection is gone. */
  onReset(code: number): void {
    const failure = this.#nameFailure(code);
    const counter = countersOfResets.get(failure);
    if (counter !== undefined) this.#owner.stats[counter].inc();
    this.#finish(new UpstreamError(failure, { isSent: code !== errorCodes.refusedStream }));
  }

  #nameFailure(code: number): UpstreamFailure {
    if (this.#owner.session.failure !== undefined) return "protocol-error";
    if (this.#owner.isGone) return "connection-termination";
    return code === errorCodes.refusedStream ? "refused-stream" : "remote-reset";
  }

  /** Ends both directions, with an error where it did not end well. */
  #finish(error: UpstreamError | undefined, code: ErrorCode = errorCodes.cancel): void {
    const exchange = this.#exchange;
    const body = this.#body;
    if (exchange === undefined) return;
    const isRequestCut = !this.#isRequestDone;
    if (isRequestCut) this.#cancelRequest();
    this.#exchange = undefined;
    this.#body = undefined;
    if (error !== undefined || isRequestCut) this.#stream.reset(code);
    if (error) exchange.fail(error);
    else exchange.end();
    this.#owner.onStreamEnd(exchange, error);
    if (error) body?.fail(error);
    else body?.finish(this.#trailers);
  }

  #cancelRequest(): void {
    this.#isRequestDone = true;
    this.#exchange?.request.body?.cancel();
  }

  /** The server may send as much again as was taken. */
  #consume(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#stream.consume(bytes);
  }

  resumeReading(): void {
    this.#consume();
    if (this.#stream.isRemoteEnded && this.#isAnswered) this.#finish(undefined);
  }

  cancelReading(): void {
    this.abort();
  }

  write(chunk: Uint8Array, isOwned = false): boolean {
    if (this.#isRequestDone) return true;
    if (this.#exchange !== undefined) this.#exchange.sent += chunk.length;
    return this.#stream.send(chunk, isOwned);
  }

  end(trailers?: HeaderList): void {
    if (this.#isRequestDone) return;
    try {
      this.#stream.end(trailers === undefined || trailers.raw.length === 0 ? undefined : formatTrailers(trailers));
      this.#isRequestDone = true;
    } catch (cause: unknown) {
      this.abort(new Error("trailers that HTTP/2 cannot carry", { cause }));
    }
  }

  onWritable(): void {
    this.#exchange?.request.body?.resume();
  }

  onSent(): void {
    // The answer is what counts.
  }
}

/** What Envoy counts of a stream that the server or the codec ended; it counts none that was refused. */
const countersOfResets: ReadonlyMap<UpstreamFailure, ResetCounter> = new Map([
  ["protocol-error", "upstream_rq_tx_reset"],
  ["remote-reset", "upstream_rq_rx_reset"],
  ["connection-termination", "upstream_rq_pending_failure_eject"],
]);

type ResetCounter = "upstream_rq_tx_reset" | "upstream_rq_rx_reset" | "upstream_rq_pending_failure_eject";
