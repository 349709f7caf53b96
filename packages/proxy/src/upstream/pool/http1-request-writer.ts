/** Writes the body of a request to an HTTP/1.1 connection, in the framing that its head announced. */
import type { Duplex } from "node:stream";
import { whenWritten } from "@meltemi/http2/free-bytes";
import type { BodySink, BodySource } from "../../http/body.ts";
import type { HeaderList } from "../../http/header-list.ts";
import type { RequestFraming } from "./http1-encode.ts";
import { cleanValue } from "./http1-grammar.ts";

export interface RequestWriterOwner {
  readonly stream: Duplex;
  /** So many bytes more are written. */
  onRequestBytes(count: number): void;
  /** All of the request is written. */
  onRequestEnd(): void;
  /** It will never be whole. */
  onRequestAbort(cause: Error): void;
}

export interface RequestWriterOptions {
  readonly framing: RequestFraming;
  /** Bytes that a body of framing "length" has. */
  readonly length: number;
  readonly hasTrailers: boolean;
}

export class Http1RequestWriter implements BodySink {
  readonly #owner: RequestWriterOwner;
  readonly #source: BodySource;
  readonly #options: RequestWriterOptions;
  #left: number;
  #isOver = false;

  constructor(source: BodySource, owner: RequestWriterOwner, options: RequestWriterOptions) {
    this.#source = source;
    this.#owner = owner;
    this.#options = options;
    this.#left = options.length;
  }

  begin(): void {
    this.#source.pipe(this);
  }

  /** The connection takes more again. */
  resume(): void {
    if (!this.#isOver) this.#source.resume();
  }

  /** Nobody reads the rest. */
  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.cancel();
  }

  write(chunk: Uint8Array, isOwned = false): boolean {
    if (this.#isOver || chunk.length === 0) return true;
    const { stream } = this.#owner;
    const { framing } = this.#options;
    const onWritten = isOwned ? whenWritten(chunk) : undefined;
    if (framing === "chunked") {
      const head = `${chunk.length.toString(16)}\r\n`;
      this.#owner.onRequestBytes(head.length + chunk.length + 2);
      stream.cork();
      stream.write(head, "latin1");
      stream.write(chunk, onWritten);
      const isReady = stream.write("\r\n", "latin1");
      stream.uncork();
      return isReady;
    }
    if (framing === "length") {
      this.#left -= chunk.length;
      if (this.#left < 0) {
        this.#fail(new Error("the body is longer than its content-length"));
        return true;
      }
    }
    this.#owner.onRequestBytes(chunk.length);
    return stream.write(chunk, onWritten);
  }

  end(trailers?: HeaderList): void {
    if (this.#isOver) return;
    const { stream } = this.#owner;
    const { framing, hasTrailers } = this.#options;
    if (framing === "length" && this.#left > 0) {
      this.#fail(new Error("the body is shorter than its content-length"));
      return;
    }
    this.#isOver = true;
    if (framing === "chunked") {
      const text = encodeEnd(hasTrailers ? trailers : undefined);
      this.#owner.onRequestBytes(text.length);
      stream.write(text, "latin1");
    }
    if (framing === "raw") stream.end();
    this.#owner.onRequestEnd();
  }

  abort(cause: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onRequestAbort(cause);
  }

  #fail(cause: Error): void {
    this.#isOver = true;
    this.#source.cancel(cause);
    this.#owner.onRequestAbort(cause);
  }
}

function encodeEnd(trailers: HeaderList | undefined): string {
  if (trailers === undefined) return "0\r\n\r\n";
  let text = "0\r\n";
  for (const [name, value] of trailers) {
    const clean = cleanValue(value);
    // Trailers are no place for what frames a message (RFC 9110 section 6.5.1).
    if (clean === undefined || name === "content-length" || name === "transfer-encoding") continue;
    text += `${name}: ${clean}\r\n`;
  }
  return `${text}\r\n`;
}
