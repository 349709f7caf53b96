/** One request on an HTTP/2 connection, and its answer. */
import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from "node:http2";
import type { BodySink, BodySource } from "../body.ts";
import { clientReset } from "../client-gone.ts";
import type { CodecStream, RequestReceiver, StreamEvents } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import { HeaderList } from "../header-list.ts";
import type { HttpResponse } from "../message.ts";
import { RequestBody } from "../request-body.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { Http2Head } from "./read-head.ts";
import { formatHead, type ResponseHead, toObject } from "./write-head.ts";

/** The connection of a stream, as far as the stream needs it. */
export interface StreamOwner {
  readonly guard: FloodGuard;
  /** The client has reset a stream that was begun at this time, on the monotonic clock, before an answer to it began. */
  onReset(openedAt: number): void;
  /** A stream has ended in another way. */
  onOtherEnd(): void;
  /** Has `flush` of the stream called when what is there to be read now has been taken in. */
  flushSoon(stream: Http2Stream): void;
}

/** A first piece of a body up to this many bytes waits for the end of the body, which may be there already. */
const heldBytes = 16_384;

export class Http2Stream implements CodecStream, BodySink {
  readonly #stream: ServerHttp2Stream;
  readonly #owner: StreamOwner;
  readonly #openedAt: number;
  readonly namesScheme = true;
  readonly wantsClose = false;
  #events: StreamEvents | undefined;
  #requestBody: RequestBody | undefined;
  #responseBody: BodySource | undefined;
  /**
   * Head and first bytes of an answer, until its end is known or more comes: an answer that is there as a whole goes out
   * as HEADERS and one DATA frame that ends the stream. To ask the platform for the end, as trailers need, costs a fifth
   * of all that a request of 1 kB does.
   */
  #heldHead: ResponseHead | undefined;
  #heldChunk: Uint8Array | undefined;
  #waitsForDrain = false;
  #requestTrailers: HeaderList | undefined;
  #isOver = false;
  #hasEnded = false;
  #isExtended = false;
  #isHead = false;
  isRequestComplete: boolean;
  responseTrailers: HeaderList | undefined;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(stream: ServerHttp2Stream, owner: StreamOwner, start: { openedAt: number; hasBody: boolean }) {
    this.#stream = stream;
    this.#owner = owner;
    this.#openedAt = start.openedAt;
    this.isRequestComplete = !start.hasBody;
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
      this.#owner.guard.addHead(raw ?? []);
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
    if (this.#isOver || this.#stream.destroyed || this.#stream.headersSent || this.#heldHead !== undefined) {
      body?.cancel();
      return;
    }
    const status = response.status === 101 && this.#isExtended ? 200 : response.status;
    // RFC 9110, section 8.6: such an answer has no length.
    if (status === 204) response.headers.remove("content-length");
    const head = formatHead(status, response.headers);
    const hasNoBody = this.#isHead || status === 204 || status === 304 || body === undefined;
    if (hasNoBody) body?.cancel();
    if (hasNoBody || body === undefined) {
      this.#hasEnded = true;
      this.#stream.respond(head, { endStream: true });
      return;
    }
    this.#heldHead = head;
    this.#responseBody = body;
    body.pipe(this);
    if (this.#heldHead !== undefined) this.#owner.flushSoon(this);
  }

  /** Sends what was held of an answer that goes on. */
  flush(): void {
    const head = this.#heldHead;
    const chunk = this.#heldChunk;
    if (head === undefined) return;
    this.#heldHead = undefined;
    this.#heldChunk = undefined;
    if (this.#stream.destroyed) return;
    if (!this.#sendHead(head, { waitForTrailers: true })) return;
    this.#stream.once("wantTrailers", () => this.#sendTrailers());
    if (chunk !== undefined) this.#writeOut(chunk);
  }

  /** False where the platform takes no such head: the answer is broken then. */
  #sendHead(head: ResponseHead, options: ServerStreamResponseOptions): boolean {
    try {
      this.#stream.respond(head, options);
      return true;
    } catch (cause: unknown) {
      const error = new Error("an answer that HTTP/2 cannot carry", { cause });
      this.#responseBody?.cancel(error);
      this.abort(error);
      return false;
    }
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
    if (this.#heldHead !== undefined) {
      if (this.#heldChunk === undefined && chunk.length <= heldBytes) {
        this.#heldChunk = chunk;
        return true;
      }
      this.flush();
      if (this.#isOver) return true;
    }
    return this.#writeOut(chunk);
  }

  #writeOut(chunk: Uint8Array): boolean {
    const takesMore = this.#stream.write(chunk);
    if (!takesMore && !this.#waitsForDrain) {
      this.#waitsForDrain = true;
      this.#stream.on("drain", () => this.#responseBody?.resume());
    }
    return takesMore;
  }

  end(trailers?: HeaderList): void {
    if (this.#isOver || this.#stream.destroyed) return;
    this.#hasEnded = true;
    this.responseTrailers = trailers;
    if (this.#heldHead === undefined || trailers !== undefined) {
      this.flush();
      if (!this.#isOver) this.#stream.end();
    } else this.#sendWhole(this.#heldHead);
  }

  #sendWhole(head: ResponseHead): void {
    const chunk = this.#heldChunk;
    this.#heldHead = undefined;
    this.#heldChunk = undefined;
    if (this.#sendHead(head, { endStream: chunk === undefined }) && chunk !== undefined) this.#stream.end(chunk);
  }

  abort(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.flush();
    this.#requestBody?.abort(cause);
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    this.#events?.onResponseBroken(cause);
  }

  reset(details: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const cause = new Error(details);
    this.flush();
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  #onClose(): void {
    this.#tellEnd();
    // The platform has its streams in a map, by which most are kept until the next full collection (lib/bag.ts).
    this.#events = undefined;
    this.#requestBody = undefined;
    this.#responseBody = undefined;
  }

  #tellEnd(): void {
    const wasOver = this.#isOver;
    this.#isOver = true;
    const isReset = this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    if (!wasOver && isReset && !this.#stream.headersSent) this.#owner.onReset(this.#openedAt);
    else this.#owner.onOtherEnd();
    if (wasOver) return;
    if (!isReset && this.#hasEnded) {
      // An error costs more than the rest of this, and hardly a request needs one.
      if (!this.isRequestComplete) this.#requestBody?.abort(clientReset());
      this.#events?.onResponseEnd();
      return;
    }
    const cause = clientReset();
    this.#responseBody?.cancel(cause);
    this.#requestBody?.abort(cause);
    this.#events?.onGone(cause);
  }
}

function isPseudo(list: readonly string[], index: number): boolean {
  return (list[index - (index % 2)] ?? "").startsWith(":");
}
