/** The beginning of a body, read before the body goes on. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import { joinBuffers } from "../lib/join-buffers.ts";

export interface PeekedBody {
  /** What was read: all of the body, or at least `limit` bytes of it. */
  readonly bytes: Uint8Array;
  readonly isComplete: boolean;
  /** The whole body, what was read included. */
  readonly body: BodySource;
}

/** Reads a body until it ends or `limit` bytes are there. Rejects where it is aborted before. */
export function peekBody(source: BodySource, limit: number): Promise<PeekedBody> {
  return new Promise((resolve, reject) => {
    const peeking = new Peeking(source, limit, resolve, reject);
    source.pipe(peeking);
  });
}

type Settle = (peeked: PeekedBody) => void;

class Peeking implements BodySink, BodySource {
  readonly #source: BodySource;
  readonly #limit: number;
  readonly #resolve: Settle;
  readonly #reject: (cause: Error) => void;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #isPeeked = false;
  #sink: BodySink | undefined;
  #ending: { readonly trailers: HeaderList | undefined } | undefined;
  #failure: Error | undefined;
  #isCancelled = false;

  constructor(source: BodySource, limit: number, ...[resolve, reject]: readonly [Settle, (cause: Error) => void]) {
    this.#source = source;
    this.#limit = limit;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get length(): number | undefined {
    return this.#source.length ?? (this.#ending ? this.#size : undefined);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#sink) return this.#sink.write(chunk);
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < this.#limit) return true;
    this.#finishPeeking(false);
    return false;
  }

  end(trailers?: HeaderList): void {
    this.#ending = { trailers };
    if (this.#sink) this.#sink.end(trailers);
    else this.#finishPeeking(true);
  }

  abort(cause: Error): void {
    this.#failure = cause;
    if (this.#sink) this.#sink.abort(cause);
    else if (!this.#isPeeked) this.#reject(cause);
  }

  pipe(sink: BodySink): void {
    const chunks = this.#chunks;
    this.#chunks = [];
    let isReady = true;
    for (const chunk of chunks) {
      if (this.#isCancelled) return;
      isReady = sink.write(chunk);
    }
    this.#sink = sink;
    if (this.#ending) sink.end(this.#ending.trailers);
    else if (this.#failure) sink.abort(this.#failure);
    else if (isReady) this.#source.resume();
  }

  resume(): void {
    if (this.#sink && !this.#ending) this.#source.resume();
  }

  cancel(cause?: Error): void {
    this.#isCancelled = true;
    this.#chunks = [];
    this.#source.cancel(cause);
  }

  #finishPeeking(isComplete: boolean): void {
    if (this.#isPeeked) return;
    this.#isPeeked = true;
    this.#resolve({ bytes: joinBuffers(this.#chunks), isComplete, body: this });
  }
}
