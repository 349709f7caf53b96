/** One request on an HTTP/1 connection, and its answer. */

import { whenWritten } from "@meltemi/http2/free-bytes";
import type { BodySink, BodySource } from "../body.ts";
import type { CodecStream, RequestReceiver, StreamEvents } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import { HeaderList } from "../header-list.ts";
import type { HttpRequest, HttpResponse } from "../message.ts";
import { RequestBody } from "../request-body.ts";
import { BodyDecoder, type BodyTarget, type Framing } from "./body-decoder.ts";
import type { ParsedHead } from "./parse-head.ts";
import type { Http1Connection } from "./server-connection.ts";
import { formatHead, formatTrailers } from "./write-head.ts";

/** A body up to this many bytes goes out in one piece with its head. */
const joinedBytes = 16_384;
const lastChunk = Buffer.from("0\r\n\r\n");
const lineEnd = Buffer.from("\r\n");

export class Http1Stream implements CodecStream, BodySink, BodyTarget {
  readonly #connection: Http1Connection;
  readonly #head: ParsedHead | undefined;
  #events: StreamEvents | undefined;
  #decoder: BodyDecoder | undefined;
  #requestBody: RequestBody | undefined;
  #responseBody: BodySource | undefined;
  /** A head that is not written yet: it goes out with the first bytes of the body. */
  #pendingHead = "";
  #isChunked = false;
  /** Bytes that Content-Length of the answer still promises; undefined where it has none. */
  #promised: number | undefined;
  #isLast = false;
  #isOver = false;
  #hasAnswered = false;
  isRequestComplete = false;
  responseTrailers: HeaderList | undefined;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(connection: Http1Connection, head: ParsedHead | undefined) {
    this.#connection = connection;
    this.#head = head;
  }

  get namesScheme(): boolean {
    return this.#head?.target.scheme !== undefined;
  }

  get wantsClose(): boolean {
    return this.#head?.wantsClose ?? true;
  }

  /** Hands the request on. */
  begin(receiver: RequestReceiver): void {
    const head = this.#head;
    if (head === undefined) return;
    const framing = framingOf(head);
    if (framing === undefined) this.isRequestComplete = true;
    else {
      this.#decoder = new BodyDecoder(framing, this.#connection.options.names);
      this.#requestBody = new RequestBody(this, framing.kind === "length" ? framing.length : undefined);
    }
    this.#events = receiver.onRequest(
      this,
      toRequest(head, this.#requestBody, this.#connection.connection.tls !== undefined),
    );
    this.#events.onStart();
    if (this.isRequestComplete && !this.#isOver) this.#events.onRequestEnd();
  }

  beginMalformed(receiver: RequestReceiver, reply: LocalReply): void {
    this.#events = receiver.onMalformedHead(this, reply);
    this.#events.onStart();
  }

  /** Bytes of the body; the place after them, or -1 where they cannot be read. */
  feed(chunk: Buffer): number {
    return this.#decoder?.feed(chunk, 0, this) ?? 0;
  }

  /** The body cannot be read further. */
  refuse(reply: LocalReply): void {
    this.#requestBody?.abort(new Error(reply.details));
    this.#events?.onMalformed(reply);
  }

  onBody(chunk: Uint8Array): void {
    this.bytesReceived += chunk.length;
    this.#requestBody?.push(chunk);
  }

  pauseBody(): void {
    this.#connection.pause();
  }

  resumeBody(): void {
    this.#connection.resume();
  }

  /** The client has ended its side: true where that is the end of what an upgraded connection carries. */
  endRaw(): boolean {
    if (this.#head?.upgrade === undefined || !this.#hasAnswered) return false;
    if (!this.isRequestComplete) this.onBodyEnd(undefined);
    return true;
  }

  onBodyEnd(trailers: HeaderList | undefined): void {
    this.isRequestComplete = true;
    // As in Envoy, trailers of HTTP/1 go no further unless enable_trailers says so.
    this.#requestBody?.end(this.#connection.options.hasTrailers ? trailers : undefined);
    this.#events?.onRequestEnd();
  }

  inform(status: number, headers: HeaderList): void {
    if (this.#hasAnswered || this.#isOver || this.#head?.minorVersion === 0) return;
    this.#writeText(formatHead(status, headers, { own: "", format: this.#connection.options.keyFormat }));
  }

  respond(response: HttpResponse, isLast: boolean): void {
    if (this.#isOver) {
      response.body?.cancel();
      return;
    }
    this.#hasAnswered = true;
    this.#isLast = isLast;
    const { status, headers } = response;
    const isUpgraded = this.#isUpgradedBy(status);
    const hasNoBody =
      this.#head?.method === "HEAD" || status === 204 || status === 304 || (status < 200 && !isUpgraded);
    const body = hasNoBody ? undefined : response.body;
    if (hasNoBody) response.body?.cancel();
    // RFC 9110, section 8.6: such an answer has no length.
    if (status === 204) headers.remove("content-length");
    const own = isUpgraded ? this.#beginRaw(status, headers) : this.#frame(response, hasNoBody);
    const isOld = this.#head?.minorVersion === 0;
    this.#pendingHead = formatHead(status, headers, { own, format: this.#connection.options.keyFormat, isOld });
    if (body === undefined) {
      this.#finish(undefined);
      return;
    }
    this.#responseBody = body;
    body.pipe(this);
    this.#flushHead();
  }

  #isUpgradedBy(status: number): boolean {
    const upgrade = this.#head?.upgrade;
    if (upgrade === undefined) return false;
    return upgrade === "connect" ? status >= 200 && status < 300 : status === 101;
  }

  /** After an upgrade there is no message any more: the connection ends with it. */
  #beginRaw(status: number, headers: HeaderList): string {
    this.#isLast = true;
    headers.remove("content-length");
    if (status !== 101) return "";
    return `connection: upgrade\r\nupgrade: ${headers.get("upgrade") ?? this.#head?.upgrade ?? ""}\r\n`;
  }

  /** How the end of the body is found by the client, as lines of the head. */
  #frame({ status, headers, body }: HttpResponse, hasNoBody: boolean): string {
    let own = "";
    const declared = headers.get("content-length");
    if (declared !== undefined) {
      if (!hasNoBody) this.#promised = Number(declared);
    } else if (!hasNoBody) {
      const length = body === undefined ? 0 : body.length;
      if (length !== undefined) {
        this.#promised = length;
        own = `content-length: ${length}\r\n`;
      } else if (this.#head?.minorVersion === 0) this.#isLast = true;
      else {
        this.#isChunked = true;
        own = "transfer-encoding: chunked\r\n";
      }
    } else if (this.#isChunkedForHead(status)) own = "transfer-encoding: chunked\r\n";
    if (this.#isLast) return `${own}connection: close\r\n`;
    return this.#head?.minorVersion === 0 ? `${own}connection: keep-alive\r\n` : own;
  }

  /** The framing that the answer to a GET would have had (RFC 9112, section 6.1), as Envoy tells it. */
  #isChunkedForHead(status: number): boolean {
    return this.#head?.method === "HEAD" && this.#head.minorVersion === 1 && status !== 204 && status !== 304;
  }

  /** BodySink: bytes of the answer. */
  write(chunk: Uint8Array, isOwned = false): boolean {
    if (this.#isOver || chunk.length === 0) return true;
    this.bytesSent += chunk.length;
    if (this.#promised !== undefined && this.bytesSent > this.#promised) {
      this.#break(new Error("the answer is longer than its content-length"));
      return true;
    }
    const head = this.#isChunked ? `${this.#pendingHead}${chunk.length.toString(16)}\r\n` : this.#pendingHead;
    this.#pendingHead = "";
    return this.#writeJoined(head, chunk, isOwned);
  }

  #writeJoined(head: string, chunk: Uint8Array, isOwned: boolean): boolean {
    const tail = this.#isChunked ? lineEnd : undefined;
    if (chunk.length > joinedBytes || (head === "" && tail === undefined)) {
      const onWritten = isOwned ? whenWritten(chunk) : undefined;
      return this.#connection.writeBody(asBuffer(chunk), { head, tail, onWritten });
    }
    const bytes = Buffer.allocUnsafe(head.length + chunk.length + (tail?.length ?? 0));
    bytes.write(head, 0, "latin1");
    bytes.set(chunk, head.length);
    if (tail !== undefined) bytes.set(tail, head.length + chunk.length);
    return this.#connection.write(bytes);
  }

  /** BodySink: all of the answer was given. */
  end(trailers?: HeaderList): void {
    this.#finish(trailers);
  }

  #finish(trailers: HeaderList | undefined): void {
    if (this.#isOver) return;
    if (this.#promised !== undefined && this.bytesSent < this.#promised) {
      this.#break(new Error("the answer is shorter than its content-length"));
      return;
    }
    this.#isOver = true;
    this.responseTrailers = trailers;
    const last = this.#isChunked ? this.#formatLast(trailers) : "";
    if (this.#pendingHead !== "") {
      this.#writeText(this.#pendingHead + last);
      this.#pendingHead = "";
    } else if (last !== "") {
      if (trailers === undefined) this.#connection.write(lastChunk);
      else this.#writeText(last);
    }
    this.#events?.onResponseEnd();
    this.#connection.finish(this, this.#isLast || !this.isRequestComplete);
  }

  #formatLast(trailers: HeaderList | undefined): string {
    const { hasTrailers, keyFormat } = this.#connection.options;
    return `0\r\n${trailers !== undefined && hasTrailers ? formatTrailers(trailers, keyFormat) : ""}\r\n`;
  }

  #flushHead(): void {
    if (this.#pendingHead === "") return;
    this.#writeText(this.#pendingHead);
    this.#pendingHead = "";
  }

  #writeText(text: string): void {
    this.#connection.write(Buffer.from(text, "latin1"));
  }

  /** BodySink: the answer broke off. */
  abort(cause: Error): void {
    if (this.#events === undefined || this.#isOver) return;
    // The client is to see what was answered, and that it is not all, however soon it broke off.
    this.#flushHead();
    this.#break(cause);
  }

  #break(cause: Error): void {
    this.#isOver = true;
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onResponseBroken(cause);
    this.#connection.reset("");
  }

  /** The client is gone. */
  leave(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onGone(cause);
  }

  reset(details: string): void {
    this.#isOver = true;
    const cause = new Error(details);
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#connection.reset(details);
  }

  onDrain(): void {
    this.#responseBody?.resume();
  }
}

function framingOf(head: ParsedHead): Framing | undefined {
  if (head.upgrade !== undefined) return { kind: "raw" };
  if (head.isChunked) return { kind: "chunked" };
  return head.contentLength === undefined || head.contentLength === 0
    ? undefined
    : { kind: "length", length: head.contentLength };
}

function toRequest(head: ParsedHead, body: BodySource | undefined, isTls: boolean): HttpRequest {
  const headers = new HeaderList(head.raw);
  if (head.spelling !== undefined) headers.spelling = head.spelling;
  return {
    method: head.method,
    scheme: head.target.scheme ?? (isTls ? "https" : "http"),
    authority: head.target.authority ?? "",
    path: head.target.path,
    headers,
    body,
    protocol: head.minorVersion === 1 ? "HTTP/1.1" : "HTTP/1.0",
    upgrade: head.upgrade,
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
