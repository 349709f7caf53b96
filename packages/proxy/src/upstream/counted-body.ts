/** A body that says when it is over, whatever its end. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";

/** Calls `onEnd` once, before the sink hears of the end. */
export class CountedBody implements BodySource {
  readonly #source: BodySource;
  #onEnd: (() => void) | undefined;

  constructor(source: BodySource, onEnd: () => void) {
    this.#source = source;
    this.#onEnd = onEnd;
  }

  get length(): number | undefined {
    return this.#source.length;
  }

  pipe(sink: BodySink): void {
    this.#source.pipe({
      write: (chunk) => sink.write(chunk),
      end: (trailers?: HeaderList) => {
        this.#end();
        sink.end(trailers);
      },
      abort: (cause) => {
        this.#end();
        sink.abort(cause);
      },
    });
  }

  resume(): void {
    this.#source.resume();
  }

  cancel(cause?: Error): void {
    this.#end();
    this.#source.cancel(cause);
  }

  #end(): void {
    this.#onEnd?.();
    this.#onEnd = undefined;
  }
}
