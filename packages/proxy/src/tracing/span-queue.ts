import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Counter, Stats } from "../lib/stats.ts";

/** A span that is over. Times are microseconds since the epoch. */
export interface FinishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: "server" | "client";
  readonly startedUs: number;
  readonly durationUs: number;
  readonly tags: ReadonlyMap<string, string>;
  readonly isError: boolean;
  /** True where the client's span has the same id (Zipkin). */
  readonly isShared: boolean;
}

export interface SpanQueueOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** "tracing.NAME" */
  readonly stats: Stats;
  /** Rejects where the collector did not take them. */
  readonly send: (spans: readonly FinishedSpan[]) => Promise<void>;
}

/** So many spans are worth a request at once. */
const flushSpans = 5;
const flushIntervalMs = 5_000;
/** More than this waits only while the collector is slow; then spans are dropped. */
const maxWaiting = 1_024;

/** Spans on their way to a collector, in batches. What cannot be sent is dropped and counted: traces are never worth more. */
export class SpanQueue {
  readonly #options: SpanQueueOptions;
  readonly #sent: Counter;
  readonly #dropped: Counter;
  #waiting: FinishedSpan[] = [];
  #timer: Timer | undefined;
  #isSending = false;

  constructor(options: SpanQueueOptions) {
    this.#options = options;
    this.#sent = options.stats.counter("spans_sent");
    this.#dropped = options.stats.counter("spans_dropped");
  }

  push(span: FinishedSpan): void {
    if (this.#waiting.length >= maxWaiting) {
      this.#dropped.inc();
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= flushSpans) this.#flush();
    else this.#timer ??= this.#options.clock.after(flushIntervalMs, () => this.#flush());
  }

  /** Sends what waits, without waiting for it. */
  close(): void {
    this.#isSending = false;
    this.#flush();
    this.#timer?.close();
  }

  #flush(): void {
    this.#timer?.close();
    this.#timer = undefined;
    if (this.#isSending || this.#waiting.length === 0) return;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#isSending = true;
    void this.#send(batch);
  }

  async #send(batch: readonly FinishedSpan[]): Promise<void> {
    try {
      await this.#options.send(batch);
      this.#sent.inc(batch.length);
    } catch (cause: unknown) {
      this.#dropped.inc(batch.length);
      this.#options.log.debug("spans cannot be sent", { cause: String(cause) });
    }
    this.#isSending = false;
    if (this.#waiting.length >= flushSpans) this.#flush();
  }
}
