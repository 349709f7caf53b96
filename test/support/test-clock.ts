import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Due {
  at: number;
  readonly periodMs: number | undefined;
  readonly run: () => void;
}

/** A clock that stands still until a test moves it. */
export class TestClock implements Clock {
  #now = 0;
  #timers: Due[] = [];
  readonly #waiting = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#start({ at: this.#now + delayMs, periodMs: undefined, run });
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#start({ at: this.#now + periodMs, periodMs, run });
  }

  /** Timers that are running: none may be left when everything is closed. */
  get running(): number {
    return this.#timers.length;
  }

  /** Resolves when so many timers run. */
  timers(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.running < count) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Moves time on, and runs what falls due on the way, in order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= until).sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.periodMs === undefined) this.#timers = this.#timers.filter((each) => each !== next);
      else next.at += next.periodMs;
      next.run();
    }
    this.#now = until;
  }

  #start(timer: Due): Timer {
    this.#timers.push(timer);
    for (const check of this.#waiting) check();
    return {
      close: () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
      },
    };
  }
}
