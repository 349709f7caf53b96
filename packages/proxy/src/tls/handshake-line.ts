import type { Clock, Timer } from "../lib/clock.ts";

export interface HandshakeLineOptions {
  /** Handshakes that may be under way at once. */
  readonly most?: number;
  /** Milliseconds that each of them has in any case. */
  readonly leastMs?: number;
}

interface UnderWay {
  /** On the clock's monotonic scale, in milliseconds. */
  readonly since: number;
  readonly giveUp: () => void;
}

interface Waiting {
  readonly giveUp: () => void;
  readonly answer: (leave: () => void) => void;
}

/**
 * Clients of TLS that have said hello. One is answered in a turn of the event loop, first come first served, because keys and
 * a signature take half a millisecond. As many as `most` may be under way: one that has not finished within `leastMs` makes
 * room for others who wait, and is left alone while nobody does. By Node's account each of them costs 48 kB outside of V8's
 * heap, and V8 goes through all of that heap for 64 MB more of it: 1,000 at once were found to be enough.
 */
export class HandshakeLine {
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  readonly #most: number;
  readonly #leastMs: number;
  /** In the order of their answers. */
  readonly #underWay = new Set<UnderWay>();
  readonly #waiting: Waiting[] = [];
  #next: Timer | undefined;

  constructor(clock: Pick<Clock, "monotonic" | "after">, { most = 500, leastMs = 1_000 }: HandshakeLineOptions = {}) {
    this.#clock = clock;
    this.#most = most;
    this.#leastMs = leastMs;
  }

  /**
   * Resolves when the client may be answered, with what has to be called when its handshake is over, well or not; calling it
   * twice is harmless. `giveUp` is called where others need the place.
   */
  enter(giveUp: () => void): Promise<() => void> {
    return new Promise((answer) => {
      this.#waiting.push({ giveUp, answer });
      this.#goOn();
    });
  }

  /** Whoever waits is not answered any more. */
  close(): void {
    this.#waiting.length = 0;
    this.#next?.close();
    this.#next = undefined;
  }

  #goOn(): void {
    if (this.#next !== undefined || this.#waiting.length === 0) return;
    const run = (): void => {
      this.#next = undefined;
      this.#answerNext();
      this.#goOn();
    };
    const waitMs = this.#measureWait();
    if (waitMs > 0) {
      this.#next = this.#clock.after(waitMs, run);
    } else {
      const turn = setImmediate(run);
      this.#next = { close: () => clearImmediate(turn) };
    }
  }

  /** Milliseconds until there is room; 0 where there is. */
  #measureWait(): number {
    const [oldest] = this.#underWay;
    if (oldest === undefined || this.#underWay.size < this.#most) return 0;
    return oldest.since + this.#leastMs - this.#clock.monotonic();
  }

  #answerNext(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    if (this.#underWay.size >= this.#most) this.#giveUpOldest();
    const one: UnderWay = { since: this.#clock.monotonic(), giveUp: next.giveUp };
    this.#underWay.add(one);
    next.answer(() => this.#leave(one));
  }

  #giveUpOldest(): void {
    const [oldest] = this.#underWay;
    if (oldest === undefined) return;
    this.#underWay.delete(oldest);
    oldest.giveUp();
  }

  #leave(one: UnderWay): void {
    const wasFull = this.#underWay.size >= this.#most;
    if (!this.#underWay.delete(one) || !wasFull) return;
    // What was to come next may have waited for time to pass.
    this.#next?.close();
    this.#next = undefined;
    this.#goOn();
  }
}
