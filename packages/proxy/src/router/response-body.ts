/** The body of an upstream's answer on its way to the client: its end is told, and it can be broken off. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";

export interface ResponseObserver {
  onResponseChunk(bytes: number): void;
  onResponseEnd(trailers: HeaderList | undefined): void;
  /** The upstream broke off; gives what the client's side is told. */
  onResponseAbort(cause: Error): Error;
  /** The client's side wants no more. */
  onResponseCancel(): void;
}

export class ResponseBody implements BodySource, BodySink {
  readonly length: number | undefined;
  readonly #source: BodySource;
  readonly #observer: ResponseObserver;
  #sink: BodySink | undefined;
  #cause: Error | undefined;

  constructor(source: BodySource, observer: ResponseObserver) {
    this.length = source.length;
    this.#source = source;
    this.#observer = observer;
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    if (this.#cause !== undefined) sink.abort(this.#cause);
    else this.#source.pipe(this);
  }

  resume(): void {
    this.#source.resume();
  }

  cancel(cause?: Error): void {
    this.#observer.onResponseCancel();
    this.#source.cancel(cause);
  }

  /** Ends it from here, such as at a timeout. */
  breakOff(cause: Error): void {
    this.#cause = cause;
    this.#source.cancel(cause);
    this.#sink?.abort(cause);
  }

  write(chunk: Uint8Array, isOwned?: boolean): boolean {
    this.#observer.onResponseChunk(chunk.length);
    return this.#sink?.write(chunk, isOwned) ?? false;
  }

  end(trailers?: HeaderList): void {
    this.#observer.onResponseEnd(trailers);
    this.#sink?.end(trailers);
  }

  abort(cause: Error): void {
    this.#sink?.abort(this.#observer.onResponseAbort(cause));
  }
}
