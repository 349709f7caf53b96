import type { Clock, Timer } from "../lib/clock.ts";

interface Due {
  at: number;
  readonly run: () => void;
  readonly periodMs: number | undefined;
}

/** Time that stands still until a test moves it. */
export class TestClock implements Clock {
  #now = 1_700_000_000_000;
  readonly #due = new Set<Due>();
  readonly #waiting = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - 1_700_000_000_000;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add({ at: this.#now + delayMs, run, periodMs: undefined });
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#add({ at: this.#now + periodMs, run, periodMs });
  }

  /** Resolves when so many timers run. */
  timers(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.#due.size < count) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  advance(byMs: number): void {
    const end = this.#now + byMs;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.at);
      if (next.periodMs === undefined) this.#due.delete(next);
      else next.at += next.periodMs;
      next.run();
    }
    this.#now = end;
  }

  #next(end: number): Due | undefined {
    return [...this.#due].filter(({ at }) => at <= end).sort((left, right) => left.at - right.at)[0];
  }

  #add(due: Due): Timer {
    this.#due.add(due);
    for (const check of this.#waiting) check();
    return { close: () => this.#due.delete(due) };
  }
}
