/** One request on an HTTP/2 connection, and its answer. */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { BodySink, BodySource } from "../body.ts";
import { clientReset } from "../client-gone.ts";
import type { CodecStream, RequestReceiver, StreamEvents } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import { HeaderList } from "../header-list.ts";
import type { HttpResponse } from "../message.ts";
import { RequestBody } from "../request-body.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { Http2Head } from "./read-head.ts";

/** The connection's interest in its streams. */
export interface StreamOwner {
  readonly guard: FloodGuard;
  /** The client has reset a request before an answer to it was begun. */
  onReset(): void;
  onOtherEnd(): void;
}

export class Http2Stream implements CodecStream, BodySink {
  readonly #stream: ServerHttp2Stream;
  readonly #owner: StreamOwner;
  readonly namesScheme = true;
  readonly wantsClose = false;
  #events: StreamEvents | undefined;
  #requestBody: RequestBody | undefined;
  #responseBody: BodySource | undefined;
  #requestTrailers: HeaderList | undefined;
  #isOver = false;
  #hasEnded = false;
  #isExtended = false;
  #isHead = false;
  isRequestComplete: boolean;
  responseTrailers: HeaderList | undefined;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(stream: ServerHttp2Stream, hasBody: boolean, owner: StreamOwner) {
    this.#stream = stream;
    this.#owner = owner;
    this.isRequestComplete = !hasBody;
    stream.on("close", () => this.#onClose());
  }

  begin(receiver: RequestReceiver, head: Http2Head, isTls: boolean): void {
    this.#isExtended = head.upgrade !== undefined && head.upgrade !== "connect";
    this.#isHead = head.method === "HEAD";
    if (!this.isRequestComplete) this.#readBody(head);
    const { method, authority, path, headers, upgrade } = head;
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

  #readBody({ headers, upgrade }: Http2Head): void {
    const stream = this.#stream;
    const length = upgrade === undefined ? headers.get("content-length") : undefined;
    const body = new RequestBody(this, length === undefined ? undefined : Number(length));
    this.#requestBody = body;
    stream.on("data", (chunk: Buffer) => {
      this.bytesReceived += chunk.length;
      this.#owner.guard.addReceived(chunk.length);
      body.push(chunk);
    });
    stream.on("trailers", (_headers, _flags, raw?: string[]) => {
      this.#requestTrailers = new HeaderList((raw ?? []).filter((_, index, list) => !isPseudo(list, index)));
    });
    stream.on("end", () => this.#onEnd());
  }

  #onEnd(): void {
    // Node ends a stream's reading side when it is reset, too: that is no end of the request.
    if (this.#stream.aborted || this.#stream.destroyed || this.isRequestComplete) return;
    this.isRequestComplete = true;
    this.#requestBody?.end(this.#requestTrailers);
    this.#events?.onRequestEnd();
  }

  beginMalformed(receiver: RequestReceiver, reply: LocalReply): void {
    this.#stream.resume();
    this.#events = receiver.onMalformedHead(this, reply);
    this.#events.onStart();
  }

  pauseBody(): void {
    this.#stream.pause();
  }

  resumeBody(): void {
    this.#stream.resume();
  }

  inform(status: number, headers: HeaderList): void {
    if (this.#isOver || this.#stream.headersSent || this.#stream.destroyed) return;
    this.#stream.additionalHeaders({ ...toObject(headers), ":status": status });
  }

  respond(response: HttpResponse): void {
    const { body } = response;
    if (this.#isOver || this.#stream.destroyed || this.#stream.headersSent) {
      body?.cancel();
      return;
    }
    const status = response.status === 101 && this.#isExtended ? 200 : response.status;
    const headers = toObject(response.headers);
    headers[":status"] = status;
    // RFC 9110, section 8.6: such an answer has no length.
    if (status === 204) delete headers["content-length"];
    const hasNoBody = this.#isHead || status === 204 || status === 304 || body === undefined;
    if (hasNoBody) body?.cancel();
    if (hasNoBody || body === undefined) {
      this.#hasEnded = true;
      this.#stream.respond(headers, { endStream: true });
      return;
    }
    this.#stream.respond(headers, { waitForTrailers: true });
    this.#stream.once("wantTrailers", () => this.#sendTrailers());
    this.#stream.on("drain", () => this.#responseBody?.resume());
    if (this.#stream.destroyed) {
      body.cancel();
      return;
    }
    this.#responseBody = body;
    body.pipe(this);
  }

  #sendTrailers(): void {
    const trailers = this.responseTrailers;
    // Without any it is an empty DATA frame that ends the stream; close() would wait for an end that waits for this.
    this.#stream.sendTrailers(trailers === undefined ? {} : toObject(trailers));
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isOver || this.#stream.destroyed || chunk.length === 0) return true;
    this.bytesSent += chunk.length;
    this.#owner.guard.addSent(chunk.length);
    return this.#stream.write(chunk);
  }

  end(trailers?: HeaderList): void {
    if (this.#isOver || this.#stream.destroyed) return;
    this.#hasEnded = true;
    this.responseTrailers = trailers;
    this.#stream.end();
  }

  abort(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#requestBody?.abort(cause);
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    this.#events?.onResponseBroken(cause);
  }

  reset(details: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const cause = new Error(details);
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  #onClose(): void {
    const wasOver = this.#isOver;
    this.#isOver = true;
    const isReset = this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    if (!wasOver && isReset && !this.#stream.headersSent) this.#owner.onReset();
    else this.#owner.onOtherEnd();
    if (wasOver) return;
    const cause = clientReset();
    if (!isReset && this.#hasEnded) {
      this.#requestBody?.abort(cause);
      this.#events?.onResponseEnd();
      return;
    }
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onGone(cause);
  }
}

function isPseudo(list: readonly string[], index: number): boolean {
  return (list[index - (index % 2)] ?? "").startsWith(":");
}

/** Headers of which node:http2 takes one value only: several go out as a list. */
const singleValues = new Set(
  (
    "access-control-allow-credentials access-control-max-age access-control-request-method age authorization " +
    "content-encoding content-language content-length content-location content-md5 content-range content-type date dnt " +
    "etag expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location " +
    "max-forwards proxy-authorization range referer retry-after server tk upgrade-insecure-requests user-agent " +
    "x-content-type-options"
  ).split(" "),
);

/** Headers as node:http2 takes them; several of one name as an array. */
function toObject(headers: HeaderList): OutgoingHttpHeaders {
  const { raw } = headers;
  const object: OutgoingHttpHeaders = Object.create(null) as OutgoingHttpHeaders;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (isConnectionHeader(name)) continue;
    const value = raw[index + 1] ?? "";
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (singleValues.has(name)) object[name] = `${String(before)}, ${value}`;
    else if (Array.isArray(before)) before.push(value);
    else object[name] = [String(before), value];
  }
  return object;
}

function isConnectionHeader(name: string): boolean {
  switch (name) {
    case "connection":
    case "keep-alive":
    case "proxy-connection":
    case "transfer-encoding":
    case "upgrade":
    case "http2-settings":
      return true;
    default:
      return false;
  }
}
