/** The body of an answer between its connection and whoever wants it. What comes before it is wanted is kept. */
import type { BodySink, BodySource } from "../../http/body.ts";
import type { HeaderList } from "../../http/header-list.ts";

/** The connection or stream that the bytes come from. */
export interface BodyOwner {
  /** The sink takes more again. */
  resumeReading(): void;
  /** Nobody wants the rest. Not called after the end. */
  cancelReading(): void;
}

export class ResponseBody implements BodySource {
  readonly length: number | undefined;
  readonly #owner: BodyOwner;
  #sink: BodySink | undefined;
  #kept: Uint8Array[] | undefined;
  #isPaused = false;
  #isFlushing = false;
  #isEnded = false;
  /** The end, or the sink's disinterest, has been told. */
  #isOver = false;
  #trailers: HeaderList | undefined;
  #failure: Error | undefined;

  constructor(owner: BodyOwner, length: number | undefined) {
    this.#owner = owner;
    this.length = length;
  }

  /** True where bytes have to wait here: the connection should read no more for now. */
  get isBlocked(): boolean {
    return !this.#isOver && (this.#sink === undefined || this.#isPaused);
  }

  /** Takes bytes that belong to the body alone. */
  push(chunk: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#sink === undefined || this.#isPaused || this.#isFlushing) {
      if (this.#kept === undefined) this.#kept = [chunk];
      else this.#kept.push(chunk);
      return;
    }
    if (!this.#sink.write(chunk, true)) this.#isPaused = true;
  }

  finish(trailers: HeaderList | undefined): void {
    this.#isEnded = true;
    this.#trailers = trailers;
    this.#flush();
  }

  /** It broke off. What had come is given first, as a client that reads slowly must not lose what the server did send. */
  fail(cause: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#failure = cause;
    this.#flush();
  }

  pipe(sink: BodySink): void {
    if (this.#isOver) return;
    this.#sink = sink;
    this.#flush();
    if (!this.#isPaused && !this.#isEnded) this.#owner.resumeReading();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#flush();
    if (!this.#isPaused && !this.#isEnded) this.#owner.resumeReading();
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#kept = undefined;
    if (!this.#isEnded) this.#owner.cancelReading();
  }

  #flush(): void {
    if (this.#isOver || this.#sink === undefined || this.#isPaused || this.#isFlushing) return;
    if (this.#kept !== undefined && !this.#giveKept(this.#sink)) return;
    if (!this.#isEnded || this.#isOver) return;
    this.#isOver = true;
    if (this.#failure) this.#sink.abort(this.#failure);
    else this.#sink.end(this.#trailers);
  }

  /** False where the sink wants a pause, or nothing any more. */
  #giveKept(sink: BodySink): boolean {
    // A sink may call resume() out of write(): the order stays because only one round gives at a time.
    this.#isFlushing = true;
    let given = 0;
    while (!this.#isPaused && !this.#isOver && this.#kept !== undefined && given < this.#kept.length) {
      const chunk = this.#kept[given++];
      if (chunk && !sink.write(chunk, true)) this.#isPaused = true;
    }
    this.#isFlushing = false;
    if (this.#kept !== undefined) this.#kept = given < this.#kept.length ? this.#kept.slice(given) : undefined;
    return !this.#isPaused && !this.#isOver;
  }
}
