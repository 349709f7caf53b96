import type { Clock, Timer } from "../lib/clock.ts";
import type { LongWork, LongWorkKind } from "../lib/long-work.ts";

/** Milliseconds in which comings and goings are counted. */
const periodMs = 500;
/** So many of them in a period are a rush. A client that opens fifty for itself is none. */
const many = 100;
/** Periods with fewer after which a rush is over: those who were thrown out come back. */
const mostCalm = 4;
/** Where more than this for each that goes have come, they have come to stay. */
const comingsOfStay = 2;

/**
 * Tells when connections come and go by the hundreds a second. What each of them consists of lives while the next ones come:
 * a collection of young objects that finds all of theirs at once copies tens of megabytes, and everybody waits for it.
 */
export class ConnectionRush {
  readonly #clock: Pick<Clock, "monotonic" | "every">;
  readonly #longWork: LongWork;
  #periodEndsAt = 0;
  #comings = 0;
  #goings = 0;
  #calm = 0;
  #current: { readonly timer: Timer; kind: LongWorkKind } | undefined;
  #isClosed = false;

  constructor(clock: Pick<Clock, "monotonic" | "every">, longWork: LongWork) {
    this.#clock = clock;
    this.#longWork = longWork;
  }

  /** A connection has come. */
  come(): void {
    this.#openPeriod();
    this.#comings += 1;
    this.#look();
  }

  /** One has gone. */
  go(): void {
    this.#openPeriod();
    this.#goings += 1;
    this.#look();
  }

  /** Connections that go afterwards are nobody's rush. */
  close(): void {
    this.#isClosed = true;
    this.#end();
  }

  get #isRush(): boolean {
    return this.#comings + this.#goings >= many;
  }

  get #kind(): LongWorkKind {
    return this.#comings > this.#goings * comingsOfStay ? "lasting" : "passing";
  }

  /** A rush has periods by a timer; without one they begin with whoever comes or goes. */
  #openPeriod(): void {
    if (this.#current !== undefined || this.#isClosed) return;
    const now = this.#clock.monotonic();
    if (now < this.#periodEndsAt) return;
    this.#periodEndsAt = now + periodMs;
    this.#forget();
  }

  #look(): void {
    if (this.#current !== undefined || this.#isClosed || !this.#isRush) return;
    this.#calm = 0;
    const kind = this.#kind;
    this.#longWork.begin(kind);
    this.#current = { timer: this.#clock.every(periodMs, () => this.#endPeriod()), kind };
  }

  #endPeriod(): void {
    if (this.#isRush) this.#goOn();
    else this.#calm += 1;
    this.#forget();
    if (this.#calm >= mostCalm) this.#end();
  }

  #goOn(): void {
    this.#calm = 0;
    const current = this.#current;
    const kind = this.#kind;
    if (current === undefined || current.kind === kind) return;
    this.#longWork.begin(kind);
    this.#longWork.end(current.kind);
    current.kind = kind;
  }

  #forget(): void {
    this.#comings = 0;
    this.#goings = 0;
  }

  #end(): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    current.timer.close();
    this.#longWork.end(current.kind);
  }
}
