/** A body that flows at a given rate, as Envoy's stream rate limiter lets it: in slices of a sixteenth of a second. */
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { Clock, Timer } from "../lib/clock.ts";

export interface ThrottleOptions {
  readonly clock: Clock;
  /** Bytes that may go in one slice, at least 1. */
  readonly bytesPerSlice: number;
  readonly sliceMs: number;
  /** Bytes that may wait before the source is asked to pause. */
  readonly bufferLimit: number;
  /** The body is over, whatever its end: with the milliseconds that it took and the bytes that went. */
  readonly onEnd?: (outcome: { readonly bytes: number; readonly delayMs: number }) => void;
  /** Changes the trailers that end the body. */
  readonly trailers?: (trailers: HeaderList | undefined) => HeaderList | undefined;
}

/** Slices in a second of Envoy's limiters. */
export const slicesPerSecond = 16;

export function throttle(source: BodySource, options: ThrottleOptions): BodySource {
  const throttled = new Throttled(source, options);
  return {
    length: source.length,
    pipe: (sink) => throttled.pipe(sink),
    resume: () => throttled.resume(),
    cancel: (cause) => throttled.cancel(cause),
  };
}

class Throttled {
  readonly #source: BodySource;
  readonly #options: ThrottleOptions;
  #sink: BodySink | undefined;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #hasEnded = false;
  #trailers: HeaderList | undefined;
  #isPaused = false;
  #isOver = false;
  #timer: Timer | undefined;
  #firstAt: number | undefined;
  #sent = 0;

  constructor(source: BodySource, options: ThrottleOptions) {
    this.#source = source;
    this.#options = options;
  }

  pipe(sink: BodySink): void {
    this.#sink = sink;
    this.#source.pipe({
      write: (chunk) => {
        this.#firstAt ??= this.#options.clock.monotonic();
        this.#waiting.push(chunk);
        this.#waitingBytes += chunk.length;
        if (!this.#timer) this.#emit();
        return this.#waitingBytes < this.#options.bufferLimit;
      },
      end: (trailers) => {
        this.#hasEnded = true;
        this.#trailers = trailers;
        if (!this.#timer) this.#emit();
      },
      abort: (cause) => {
        if (this.#finish()) sink.abort(cause);
      },
    });
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.#timer) this.#emit();
  }

  cancel(cause?: Error): void {
    this.#finish();
    this.#source.cancel(cause);
  }

  /** Sends one slice and starts the time until the next. */
  #emit(): void {
    if (this.#isOver || this.#isPaused) return;
    const { bytesPerSlice, bufferLimit, clock, sliceMs } = this.#options;
    let budget = bytesPerSlice;
    const wasFull = this.#waitingBytes >= bufferLimit;
    while (budget > 0 && this.#waiting.length > 0 && !this.#isPaused) {
      const slice = this.#take(budget);
      budget -= slice.length;
      this.#sent += slice.length;
      this.#isPaused = this.#sink?.write(slice) === false;
    }
    if (wasFull && this.#waitingBytes < bufferLimit) this.#source.resume();
    if (this.#isOver) return;
    if (this.#waiting.length === 0 && this.#hasEnded) {
      this.#finish();
      this.#sink?.end(this.#options.trailers ? this.#options.trailers(this.#trailers) : this.#trailers);
      return;
    }
    if (budget === bytesPerSlice) return;
    this.#timer = clock.after(sliceMs, () => {
      this.#timer = undefined;
      this.#emit();
    });
  }

  #take(limit: number): Uint8Array {
    const [first = new Uint8Array()] = this.#waiting;
    const slice = first.length <= limit ? first : first.subarray(0, limit);
    if (slice.length === first.length) this.#waiting.shift();
    else this.#waiting[0] = first.subarray(limit);
    this.#waitingBytes -= slice.length;
    return slice;
  }

  /** False where it was over already. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#timer?.close();
    const delayMs = this.#firstAt === undefined ? 0 : this.#options.clock.monotonic() - this.#firstAt;
    this.#options.onEnd?.({ bytes: this.#sent, delayMs });
    return true;
  }
}
