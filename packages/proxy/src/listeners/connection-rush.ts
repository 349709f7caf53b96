import type { Clock, Timer } from "../lib/clock.ts";
import type { LongWork } from "../lib/long-work.ts";

/** Milliseconds in which comings and goings are counted. */
const periodMs = 500;
/** So many of them in a period are a rush. A client that opens fifty for itself is none. */
const many = 100;
/** Periods with fewer after which a rush is over: those who were thrown out come back. */
const mostCalm = 4;

/**
 * Tells when connections come and go by the hundreds a second. What each of them consists of lives while the next ones come:
 * a collection of young objects that finds all of theirs at once copies tens of megabytes, and everybody waits for it.
 */
export class ConnectionRush {
  readonly #clock: Pick<Clock, "monotonic" | "every">;
  readonly #longWork: LongWork;
  #periodEndsAt = 0;
  #count = 0;
  #calm = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Pick<Clock, "monotonic" | "every">, longWork: LongWork) {
    this.#clock = clock;
    this.#longWork = longWork;
  }

  /** A connection has come or gone. */
  note(): void {
    this.#count += 1;
    if (this.#timer !== undefined || this.#isClosed) return;
    const now = this.#clock.monotonic();
    if (now >= this.#periodEndsAt) {
      this.#periodEndsAt = now + periodMs;
      this.#count = 1;
    }
    if (this.#count >= many) this.#begin();
  }

  /** Connections that go afterwards are nobody's rush. */
  close(): void {
    this.#isClosed = true;
    if (this.#timer !== undefined) this.#end(this.#timer);
  }

  #begin(): void {
    this.#calm = 0;
    this.#longWork.begin();
    const timer = this.#clock.every(periodMs, () => {
      this.#calm = this.#count >= many ? 0 : this.#calm + 1;
      this.#count = 0;
      if (this.#calm >= mostCalm) this.#end(timer);
    });
    this.#timer = timer;
  }

  #end(timer: Timer): void {
    timer.close();
    this.#timer = undefined;
    this.#longWork.end();
  }
}
