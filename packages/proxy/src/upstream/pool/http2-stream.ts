/** One request on an HTTP/2 connection. */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { Readable } from "node:stream";
import type { BodySink } from "../../http/body.ts";
import type { HeaderList } from "../../http/header-list.ts";
import { UpstreamError, type UpstreamFailure } from "../types.ts";
import { decodeHeaders, encodeRequestHeaders } from "./http2-headers.ts";
import type { PoolStats } from "./pool-stats.ts";
import { type BodyOwner, ResponseBody } from "./response-body.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

const endStreamFlag = 1;
const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_REFUSED_STREAM } = constants;

export interface StreamOwner {
  readonly session: ClientHttp2Session;
  readonly stats: PoolStats;
  /** True where the connection itself has ended. */
  readonly isGone: boolean;
  /** The stream is over in both directions; `error` says why before its time. */
  onStreamEnd(exchange: UpstreamExchange, error: UpstreamError | undefined): void;
}

/** Codes of errors with which the platform gives up a connection on which the server has broken the protocol. */
const protocolErrors: ReadonlySet<unknown> = new Set(["ERR_HTTP2_ERROR", "ERR_HTTP2_TOO_MANY_INVALID_FRAMES"]);

/** True where a connection or stream of node:http2 ended with this because the other side broke the protocol. */
export function isProtocolError(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && protocolErrors.has(cause.code);
}

/** A stream of which is known whether the server has ended it properly. */
interface MarkedStream extends ClientHttp2Stream {
  isWhole?: boolean;
}

const push = Readable.prototype.push;

/** In place of a stream's `push`; one function for all of them. */
function pushAndMark(this: MarkedStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (chunk === null && !this.closed) this.isWhole = true;
  return push.call(this, chunk, encoding);
}

export class Http2RequestStream implements BodySink, BodyOwner {
  /**
   * Undefined when it is over. The platform has its streams in a map, by which most of them, and all that they lead to, are
   * kept until the next full collection (lib/bag.ts): the request must not be among it.
   */
  #exchange: UpstreamExchange | undefined;
  readonly #owner: StreamOwner;
  readonly #stream: MarkedStream;
  #body: ResponseBody | undefined;
  #trailers: HeaderList | undefined;
  #sentTrailers: HeaderList | undefined;
  #isRequestDone: boolean;
  #hasBrokenProtocol = false;

  /** Sends the head. Throws where a header cannot be written. */
  constructor(exchange: UpstreamExchange, owner: StreamOwner) {
    this.#exchange = exchange;
    this.#owner = owner;
    const { body, upgrade } = exchange.request;
    const hasBody = body !== undefined || upgrade !== undefined;
    this.#isRequestDone = !hasBody;
    this.#stream = owner.session.request(encodeRequestHeaders(exchange.request), {
      endStream: !hasBody,
      // How it ends is known only when it does.
      waitForTrailers: hasBody,
    });
    this.#listen();
  }

  /** Begins to send the body: where the request is no upgrade, which has to be accepted first. */
  begin(): void {
    const request = this.#exchange?.request;
    if (request?.upgrade === undefined) request?.body?.pipe(this);
  }

  /** Nobody wants an answer any more, or the client's body broke off. */
  abort(cause?: Error): void {
    if (this.#exchange === undefined) return;
    this.#owner.stats.upstream_rq_tx_reset.inc();
    this.#finish(new UpstreamError("local-reset", { isSent: true, cause }));
  }

  #listen(): void {
    const stream = this.#stream;
    // A reset without an error (NO_ERROR) ends the bytes like their proper end. Only the latter comes before the stream closes.
    stream.push = pushAndMark;
    stream.on("headers", (headers, _flags, raw) => {
      const status = Number(headers[":status"]);
      if (status !== 101) this.#exchange?.request.onInformation?.(status, decodeHeaders(raw ?? []));
    });
    stream.on("response", (headers, flags, raw) => this.#onResponse(Number(headers[":status"]), flags, raw));
    stream.on("trailers", (_headers, _flags, raw?: string[]) => {
      this.#trailers = decodeHeaders(raw ?? []);
    });
    stream.on("end", () => this.#onEnd());
    stream.on("error", (cause) => {
      this.#hasBrokenProtocol = isProtocolError(cause);
    });
    stream.on("close", () => this.#onClose());
    if (this.#isRequestDone) return;
    stream.on("drain", () => this.#exchange?.request.body?.resume());
    stream.once("wantTrailers", () => {
      const trailers: Record<string, string | string[]> = {};
      for (const [name, value] of this.#sentTrailers ?? []) {
        const before = trailers[name];
        trailers[name] = before === undefined ? value : [before, value].flat();
      }
      stream.sendTrailers(trailers);
    });
  }

  #onResponse(status: number, flags: number, raw: readonly string[]): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const { upgrade } = exchange.request;
    const headers = decodeHeaders(raw);
    const isAgreed = upgrade !== undefined && status >= 200 && status < 300;
    if (isAgreed) exchange.request.body?.pipe(this);
    else if (upgrade !== undefined) this.#cancelRequest();
    const hasBody = (flags & endStreamFlag) === 0;
    const length = headers.get("content-length");
    if (hasBody) {
      this.#body = new ResponseBody(this, length === undefined || isAgreed ? undefined : Number(length));
      // Not paused until somebody reads: whoever wants the body is there before its first bytes, most of the time.
      this.#stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    } else this.#stream.resume();
    // To the rest of the proxy an upgrade is what HTTP/1.1 makes of it (RFC 8441 section 4).
    const isWebSocket = isAgreed && upgrade !== "connect";
    if (isWebSocket) headers.raw.push("connection", "upgrade", "upgrade", upgrade);
    const answered = isWebSocket ? 101 : status;
    exchange.answer({ status: answered, headers, body: this.#body, protocol: "HTTP/2" });
  }

  #onData(chunk: Buffer): void {
    this.#owner.stats.upstream_cx_rx_bytes_total.inc(chunk.length);
    if (this.#exchange !== undefined) this.#exchange.received += chunk.length;
    this.#body?.push(chunk);
    if (this.#body?.isBlocked === true) this.#stream.pause();
  }

  #onEnd(): void {
    // What else it was is told when the stream closes.
    if (this.#stream.isWhole && this.#exchange?.isAnswered) this.#finish(undefined);
  }

  #onClose(): void {
    if (this.#exchange === undefined) return;
    const { rstCode } = this.#stream;
    if (this.#exchange?.isAnswered && this.#stream.isWhole) {
      this.#finish(undefined);
      return;
    }
    const failure = this.#nameFailure(rstCode);
    const counter = countersOfResets.get(failure);
    if (counter !== undefined) this.#owner.stats[counter].inc();
    this.#finish(new UpstreamError(failure, { isSent: rstCode !== NGHTTP2_REFUSED_STREAM }));
  }

  #nameFailure(rstCode: number | undefined): UpstreamFailure {
    if (this.#hasBrokenProtocol) return "protocol-error";
    return this.#owner.isGone ? "connection-termination" : nameReset(rstCode);
  }

  /** Ends both directions, with an error where it did not end well. */
  #finish(error: UpstreamError | undefined): void {
    const exchange = this.#exchange;
    const body = this.#body;
    if (exchange === undefined) return;
    if (!this.#isRequestDone) this.#cancelRequest();
    this.#exchange = undefined;
    this.#body = undefined;
    if (error !== undefined || !this.#stream.writableFinished) this.#stream.close(NGHTTP2_CANCEL);
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

  resumeReading(): void {
    if (!this.#stream.destroyed) this.#stream.resume();
  }

  cancelReading(): void {
    this.abort();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isRequestDone) return true;
    this.#owner.stats.upstream_cx_tx_bytes_total.inc(chunk.length);
    if (this.#exchange !== undefined) this.#exchange.sent += chunk.length;
    return this.#stream.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#isRequestDone) return;
    this.#isRequestDone = true;
    this.#sentTrailers = trailers;
    this.#stream.end();
  }
}

/** What Envoy counts of a stream that the server or the codec ended; it counts none that was refused. */
const countersOfResets: ReadonlyMap<UpstreamFailure, ResetCounter> = new Map([
  ["protocol-error", "upstream_rq_tx_reset"],
  ["remote-reset", "upstream_rq_rx_reset"],
  ["connection-termination", "upstream_rq_pending_failure_eject"],
]);

type ResetCounter = "upstream_rq_tx_reset" | "upstream_rq_rx_reset" | "upstream_rq_pending_failure_eject";

function nameReset(code: number | undefined): UpstreamFailure {
  if (code === NGHTTP2_REFUSED_STREAM) return "refused-stream";
  // The platform resets streams with these when what came breaks the protocol or its limits.
  if (code === NGHTTP2_PROTOCOL_ERROR || code === NGHTTP2_ENHANCE_YOUR_CALM) return "protocol-error";
  return "remote-reset";
}
