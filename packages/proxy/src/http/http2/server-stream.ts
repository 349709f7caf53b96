/** One request on an HTTP/2 connection, and its answer. */
import { type ErrorCode, errorCodes } from "@meltemi/http2/error-codes";
import type { SessionStream, StreamHandler } from "@meltemi/http2/session-stream";
import { PieceList } from "../../lib/piece-list.ts";
import type { BodySink, BodySource } from "../body.ts";
import { clientReset } from "../client-gone.ts";
import type { CodecStream, Refusal, RequestReceiver, StreamEvents } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import { HeaderList } from "../header-list.ts";
import type { HttpResponse } from "../message.ts";
import { RequestBody } from "../request-body.ts";
import { brokenRule, checkTrailers, type Http2Head } from "./read-head.ts";
import { formatHead, formatTrailers } from "./write-head.ts";

/** The connection of a stream, as far as the stream needs it. */
export interface ServerStreamOwner {
  /** A stream that was begun at this time, on the monotonic clock, was reset for the client's part, unanswered. */
  onReset(openedAt: number): void;
  /** The same, before the request itself was begun. */
  onUnbegunReset(openedAt: number): void;
  /** A stream has ended in another way. */
  onOtherEnd(): void;
  /** The rest of a request is none of HTTP/2. Throws where that costs the connection. */
  onMalformed(stream: Http2Stream, details: string): void;
  /** Content is longer or shorter than the request says. */
  onWrongLength(stream: Http2Stream): void;
  /** Trailers are more than the limits let pass. Throws where there were too many of those. */
  onOverflow(stream: Http2Stream): void;
  /** False where there are too many, and the stream was reset for them. */
  takesTrailers(stream: Http2Stream, count: number): boolean;
}

export class Http2Stream implements CodecStream, BodySink, StreamHandler {
  readonly #stream: SessionStream;
  readonly #owner: ServerStreamOwner;
  readonly #openedAt: number;
  readonly namesScheme = true;
  readonly wantsClose = false;
  #events: StreamEvents | undefined;
  #requestBody: RequestBody | undefined;
  #responseBody: BodySource | undefined;
  /** Content-Length of the request; undefined where it has none, and where that means nothing. */
  #promised: number | undefined;
  #isPaused = false;
  /** What came while nobody wanted more. */
  #unread: PieceList | undefined;
  #requestTrailers: HeaderList | undefined;
  #hasBegun = false;
  #hasAnswered = false;
  #isOver = false;
  #isExtended = false;
  #isHead = false;
  isRequestComplete: boolean;
  responseTrailers: HeaderList | undefined;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(stream: SessionStream, owner: ServerStreamOwner, openedAt: number) {
    this.#stream = stream;
    this.#owner = owner;
    this.#openedAt = openedAt;
    this.isRequestComplete = stream.isRemoteEnded;
    stream.handler = this;
  }

  /** True where the client has reset it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  begin(receiver: RequestReceiver, head: Http2Head, isTls: boolean): void {
    this.#hasBegun = true;
    this.#isExtended = head.upgrade !== undefined && head.upgrade !== "connect";
    this.#isHead = head.method === "HEAD";
    const { method, authority, path, headers, upgrade } = head;
    if (!this.isRequestComplete) {
      if (upgrade === undefined) this.#promised = head.contentLength;
      this.#requestBody = new RequestBody(this, this.#promised);
    }
    const scheme = upgrade === "connect" && isTls ? "https" : head.scheme;
    const body = this.#requestBody;
    this.#events = receiver.onRequest(this, {
      method,
      scheme,
      authority,
      path,
      headers,
      body,
      protocol: "HTTP/2",
      upgrade,
    });
    this.#events.onStart();
    if (this.isRequestComplete && !this.#isOver) this.#events.onRequestEnd();
  }

  /** Begins a request whose head has not come, only to answer it. */
  beginMalformed(receiver: RequestReceiver, reply: LocalReply): void {
    this.#hasBegun = true;
    this.#events = receiver.onMalformedHead(this, reply);
    this.#events.onStart();
  }

  /** Begins a request only to refuse it: it is counted and logged. */
  beginRefused(receiver: RequestReceiver): void {
    this.#hasBegun = true;
    this.#events = receiver.onRefusedHead(this);
  }

  onData(bytes: Buffer): void {
    this.bytesReceived += bytes.length;
    if (this.#promised !== undefined && this.bytesReceived > this.#promised) {
      this.#stream.consume(bytes.length);
      this.#owner.onWrongLength(this);
      return;
    }
    if (this.#isPaused) this.#keep(bytes);
    else this.#push(bytes);
  }

  #push(bytes: Uint8Array): void {
    this.#requestBody?.push(bytes);
    this.#stream.consume(bytes.length);
  }

  /** Trailers. */
  onHeaders(raw: string[]): void {
    const isWhole = this.#stream.isRemoteEnded && !this.#isShort;
    const details = isWhole ? checkTrailers(raw) : brokenRule;
    if (details !== undefined) {
      this.#owner.onMalformed(this, details);
      return;
    }
    if (this.#owner.takesTrailers(this, raw.length / 2)) {
      this.#finishRequest(raw.length === 0 ? undefined : new HeaderList(raw));
    }
  }

  onEnd(): void {
    if (this.#isShort) this.#owner.onWrongLength(this);
    else this.#finishRequest(undefined);
  }

  get #isShort(): boolean {
    return this.#promised !== undefined && this.bytesReceived < this.#promised;
  }

  #finishRequest(trailers: HeaderList | undefined): void {
    this.isRequestComplete = true;
    this.#requestTrailers = trailers;
    if (this.#unread === undefined) this.#requestBody?.end(trailers);
    this.#events?.onRequestEnd();
  }

  onOverflow(): void {
    this.#owner.onOverflow(this);
  }

  /** Ends the request for what is wrong with it; without a code where the connection ends with it. */
  refuse(refusal: Refusal, code: ErrorCode | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const cause = new Error(refusal.details);
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onRefused(refusal);
    if (code === undefined) this.#stream.close();
    else this.#stream.reset(code);
    // As with Envoy, whoever makes the proxy reset is no better than who does it himself (CVE-2025-8671).
    this.#tellReset();
  }

  pauseBody(): void {
    this.#isPaused = true;
  }

  resumeBody(): void {
    this.#isPaused = false;
    const unread = this.#unread;
    if (unread === undefined) return;
    this.#unread = undefined;
    for (const piece of unread.take()) {
      if (this.#isPaused) this.#keep(piece);
      else this.#push(piece);
    }
    if (this.isRequestComplete && this.#unread === undefined && !this.#isOver) {
      this.#requestBody?.end(this.#requestTrailers);
    }
  }

  #pushAll(): void {
    for (const piece of this.#unread?.take() ?? []) this.#requestBody?.push(piece);
    if (this.#unread !== undefined) this.#requestBody?.end(this.#requestTrailers);
    this.#unread = undefined;
  }

  #keep(piece: Uint8Array): void {
    this.#unread ??= new PieceList();
    this.#unread.add(piece);
  }

  inform(status: number, headers: HeaderList): void {
    if (this.#isOver || this.#hasAnswered) return;
    this.#stream.sendInformation(formatHead(status, headers));
  }

  respond(response: HttpResponse): void {
    const { body } = response;
    if (this.#isOver || this.#hasAnswered) {
      body?.cancel();
      return;
    }
    const status = response.status === 101 && this.#isExtended ? 200 : response.status;
    if (status < 200) throw new Error(`${status} is no status of an answer in HTTP/2`);
    // RFC 9110, section 8.6: such an answer has no length.
    if (status === 204) response.headers.remove("content-length");
    const head = formatHead(status, response.headers);
    this.#hasAnswered = true;
    const hasNoBody = this.#isHead || status === 204 || status === 304 || body === undefined;
    this.#stream.sendHead(head, hasNoBody);
    if (hasNoBody) {
      body?.cancel();
      return;
    }
    this.#responseBody = body;
    body.pipe(this);
  }

  /** BodySink: bytes of the answer. */
  write(chunk: Uint8Array, isOwned = false): boolean {
    if (this.#isOver) return true;
    this.bytesSent += chunk.length;
    return this.#stream.send(chunk, isOwned);
  }

  onWritable(): void {
    this.#responseBody?.resume();
  }

  /** BodySink: all of the answer was given. */
  end(trailers?: HeaderList): void {
    if (this.#isOver) return;
    this.responseTrailers = trailers;
    if (trailers === undefined || trailers.raw.length === 0) {
      this.#stream.end();
      return;
    }
    try {
      this.#stream.end(formatTrailers(trailers));
    } catch (cause: unknown) {
      this.abort(new Error("trailers that HTTP/2 cannot carry", { cause }));
    }
  }

  onSent(): void {
    if (this.#isOver) return;
    // Whoever reads the rest of a request that is answered may still want it.
    if (this.isRequestComplete) this.#pushAll();
    this.#isOver = true;
    this.#owner.onOtherEnd();
    if (!this.isRequestComplete) {
      // An error costs more than the rest of this, and hardly a request needs one.
      this.#requestBody?.abort(clientReset());
      // RFC 9113, section 8.1: the rest of the request is not needed.
      this.#stream.reset(errorCodes.none);
    }
    this.#events?.onResponseEnd();
  }

  /** BodySink: the answer broke off. */
  abort(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onOtherEnd();
    this.#requestBody?.abort(cause);
    this.#stream.reset(errorCodes.internal);
    this.#events?.onResponseBroken(cause);
  }

  reset(details: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onOtherEnd();
    const cause = new Error(details);
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#stream.reset(errorCodes.internal);
  }

  /** The client has reset the stream, or is gone. */
  onReset(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#hasBegun) {
      this.#owner.onUnbegunReset(this.#openedAt);
      return;
    }
    const cause = clientReset();
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onGone(cause);
    this.#tellReset();
  }

  #tellReset(): void {
    if (this.#hasAnswered) this.#owner.onOtherEnd();
    else this.#owner.onReset(this.#openedAt);
  }
}
