/** A body that says when it is over, whatever its end. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";

/** Calls `onEnd` once, before the sink hears of the end. It is its own link in the pipe: nothing is made for each reader. */
export class CountedBody implements BodySource, BodySink {
  readonly #source: BodySource;
  #onEnd: (() => void) | undefined;
  #sink: BodySink | undefined;

  constructor(source: BodySource, onEnd: () => void) {
    this.#source = source;
    this.#onEnd = onEnd;
  }

  get length(): number | undefined {
    return this.#source.length;
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    this.#source.pipe(this);
  }

  resume(): void {
    this.#source.resume();
  }

  cancel(cause?: Error): void {
    this.#end();
    this.#source.cancel(cause);
  }

  write(chunk: Uint8Array, isOwned?: boolean): boolean {
    return this.#sink?.write(chunk, isOwned) ?? false;
  }

  end(trailers?: HeaderList): void {
    this.#end();
    this.#sink?.end(trailers);
  }

  abort(cause: Error): void {
    this.#end();
    this.#sink?.abort(cause);
  }

  #end(): void {
    this.#onEnd?.();
    this.#onEnd = undefined;
  }
}
