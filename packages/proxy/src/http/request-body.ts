/**
 * The body of a request between the codec, which pushes, and whoever reads it. What comes before anybody reads is kept, up
 * to a limit at which the codec is asked to pause.
 */
import { PieceList } from "../lib/piece-list.ts";
import type { BodySink, BodySource } from "./body.ts";
import type { HeaderList } from "./header-list.ts";

/** Bytes that wait for a reader before the client has to. */
const heldLimit = 65_536;

export interface BodyProducer {
  /** Reads no more until `resumeBody`. */
  pauseBody(): void;
  resumeBody(): void;
}

export class RequestBody implements BodySource {
  readonly length: number | undefined;
  readonly #producer: BodyProducer;
  #sink: BodySink | undefined;
  #held: PieceList | undefined;
  #trailers: HeaderList | undefined;
  #cause: Error | undefined;
  #isEnded = false;
  #isCancelled = false;
  #isPaused = false;

  constructor(producer: BodyProducer, length: number | undefined) {
    this.#producer = producer;
    this.length = length;
  }

  pipe(sink: BodySink): void {
    if (this.#isCancelled) return;
    this.#sink = sink;
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      let takesMore = true;
      for (const chunk of held.take()) {
        takesMore = sink.write(chunk, true);
        if (this.#isCancelled) return;
      }
      if (!takesMore && !this.#isEnded) this.#pause();
      else if (this.#isPaused && takesMore) this.resume();
    }
    if (this.#cause !== undefined) sink.abort(this.#cause);
    else if (this.#isEnded) sink.end(this.#trailers);
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#producer.resumeBody();
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#sink = undefined;
    this.#held = undefined;
    this.resume();
  }

  /** Bytes that nobody else looks at again. */
  push(chunk: Uint8Array): void {
    if (this.#isCancelled) return;
    if (this.#sink !== undefined) {
      if (!this.#sink.write(chunk, true)) this.#pause();
      return;
    }
    this.#held ??= new PieceList();
    this.#held.add(chunk);
    if (this.#held.bytes >= heldLimit) this.#pause();
  }

  end(trailers?: HeaderList): void {
    this.#isEnded = true;
    this.#trailers = trailers;
    if (!this.#isCancelled) this.#sink?.end(trailers);
  }

  abort(cause: Error): void {
    if (this.#isEnded || this.#cause !== undefined) return;
    this.#cause = cause;
    if (!this.#isCancelled) this.#sink?.abort(cause);
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#producer.pauseBody();
  }
}
