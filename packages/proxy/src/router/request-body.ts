/** The body of a request on its way to one attempt or to several: what was read can be kept, to be sent again. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";

export interface RequestBodyOptions {
  /** Most bytes that are kept; undefined where the body is sent once only. */
  readonly limit: number | undefined;
  /** The client has sent everything. */
  readonly onComplete: () => void;
  /** There is more than may be kept: what was is gone, and no other attempt can be opened. */
  readonly onAbandoned: () => void;
}

export class RequestBody implements BodySink {
  readonly #source: BodySource;
  readonly #options: RequestBodyOptions;
  readonly #readers = new Set<BodyReader>();
  #kept: Uint8Array[] | undefined;
  #keptBytes = 0;
  #isStarted = false;
  #trailers: HeaderList | undefined;
  #cause: Error | undefined;
  isComplete = false;

  constructor(source: BodySource, options: RequestBodyOptions) {
    this.#source = source;
    this.#options = options;
    this.#kept = options.limit === undefined ? undefined : [];
  }

  get length(): number | undefined {
    return this.#source.length;
  }

  /** True while another attempt could be opened. */
  get isKept(): boolean {
    return this.#kept !== undefined || !this.#isStarted;
  }

  /** What was read, where all of it is there. */
  get whole(): { readonly bytes: Uint8Array; readonly trailers: HeaderList | undefined } | undefined {
    if (!this.isComplete || this.#kept === undefined) return undefined;
    return { bytes: Buffer.concat(this.#kept), trailers: this.#trailers };
  }

  /** For one attempt: begins with all that was read before. */
  open(): BodySource {
    return new BodyReader(this);
  }

  /** No other attempt will be made: frees what was kept. */
  forget(): void {
    this.#kept = undefined;
  }

  /** Nobody wants the rest. */
  cancel(cause?: Error): void {
    this.#kept = undefined;
    this.#readers.clear();
    if (!this.isComplete) this.#source.cancel(cause);
  }

  attach(reader: BodyReader, sink: BodySink): void {
    if (this.#cause !== undefined) {
      sink.abort(this.#cause);
      return;
    }
    for (const chunk of this.#kept ?? []) sink.write(chunk);
    if (this.isComplete) {
      sink.end(this.#trailers);
      return;
    }
    this.#readers.add(reader);
    if (this.#isStarted) {
      this.#source.resume();
      return;
    }
    this.#isStarted = true;
    this.#source.pipe(this);
  }

  detach(reader: BodyReader, cause?: Error): void {
    if (!this.#readers.delete(reader)) return;
    if (this.#readers.size > 0) return;
    // Kept on reading where another attempt may follow, so that it begins with what there is.
    if (this.#kept === undefined) this.#source.cancel(cause);
    else this.#source.resume();
  }

  resume(): void {
    this.#source.resume();
  }

  write(chunk: Uint8Array, isOwned = false): boolean {
    this.#keep(chunk);
    const isAlone = isOwned && this.#kept === undefined && this.#readers.size === 1;
    let isReady = true;
    for (const reader of this.#readers) if (reader.sink?.write(chunk, isAlone) === false) isReady = false;
    return isReady;
  }

  end(trailers?: HeaderList): void {
    this.isComplete = true;
    this.#trailers = trailers;
    const readers = [...this.#readers];
    this.#readers.clear();
    for (const reader of readers) reader.sink?.end(trailers);
    this.#options.onComplete();
  }

  abort(cause: Error): void {
    this.#cause = cause;
    const readers = [...this.#readers];
    this.#readers.clear();
    for (const reader of readers) reader.sink?.abort(cause);
  }

  #keep(chunk: Uint8Array): void {
    if (this.#kept === undefined) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes <= (this.#options.limit ?? 0)) {
      this.#kept.push(chunk);
      return;
    }
    this.#kept = undefined;
    this.#options.onAbandoned();
  }
}

class BodyReader implements BodySource {
  readonly length: number | undefined;
  readonly #body: RequestBody;
  sink: BodySink | undefined;

  constructor(body: RequestBody) {
    this.#body = body;
    this.length = body.length;
  }

  pipe(sink: BodySink): void {
    this.sink = sink;
    this.#body.attach(this, sink);
  }

  resume(): void {
    this.#body.resume();
  }

  cancel(cause?: Error): void {
    this.sink = undefined;
    this.#body.detach(this, cause);
  }
}
