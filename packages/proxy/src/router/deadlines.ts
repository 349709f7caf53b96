/**
 * Many deadlines for the price of one timer: all that wait equally long are in one queue, in the order in which they
 * end, and only the first has a timer. Most requests are over long before, which costs two assignments.
 */
import type { Clock, Timer } from "../lib/clock.ts";

/** A deadline that can be called off, harmlessly also when it has passed. */
export interface Deadline {
  cancel(): void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #queues = new Map<number, DeadlineQueue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `run` once, `delayMs` milliseconds after `from`, which is now or was a little while ago. */
  add(delayMs: number, run: () => void, from = this.#clock.monotonic()): Deadline {
    let queue = this.#queues.get(delayMs);
    if (queue === undefined) {
      queue = new DeadlineQueue(this.#clock, delayMs, () => this.#queues.delete(delayMs));
      this.#queues.set(delayMs, queue);
    }
    return queue.add(run, from);
  }

  close(): void {
    for (const queue of this.#queues.values()) queue.close();
    this.#queues.clear();
  }
}

class Entry implements Deadline {
  readonly at: number;
  run: (() => void) | undefined;
  before: Entry | undefined = undefined;
  after: Entry | undefined = undefined;
  readonly #queue: DeadlineQueue;

  constructor(queue: DeadlineQueue, at: number, run: () => void) {
    this.#queue = queue;
    this.at = at;
    this.run = run;
  }

  cancel(): void {
    if (this.run === undefined) return;
    this.run = undefined;
    this.#queue.unlink(this);
  }
}

class DeadlineQueue {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #onEmpty: () => void;
  #first: Entry | undefined;
  #last: Entry | undefined;
  #timer: Timer | undefined;
  #timerAt = 0;

  constructor(clock: Clock, delayMs: number, onEmpty: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#onEmpty = onEmpty;
  }

  add(run: () => void, from: number): Deadline {
    const entry = new Entry(this, from + this.#delayMs, run);
    // Most come last: only those that count from earlier on have to look for their place.
    let before = this.#last;
    while (before !== undefined && before.at > entry.at) before = before.before;
    const after = before === undefined ? this.#first : before.after;
    entry.before = before;
    entry.after = after;
    if (before === undefined) this.#first = entry;
    else before.after = entry;
    if (after === undefined) this.#last = entry;
    else after.before = entry;
    this.#startTimer();
    return entry;
  }

  /** For the first one. A timer that comes too early, for one that was called off, is left alone. */
  #startTimer(): void {
    if (this.#first === undefined) return;
    const { at } = this.#first;
    if (this.#timer !== undefined) {
      if (this.#timerAt <= at) return;
      this.#timer.close();
    }
    this.#timerAt = at;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.monotonic()), () => this.#fire());
  }

  unlink(entry: Entry): void {
    const { before, after } = entry;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    entry.before = undefined;
    entry.after = undefined;
  }

  close(): void {
    this.#timer?.close();
    this.#timer = undefined;
    for (let entry = this.#first; entry !== undefined; entry = entry.after) entry.run = undefined;
    this.#first = undefined;
    this.#last = undefined;
  }

  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    // Timers may come a little early.
    while (this.#first !== undefined && this.#first.at <= now + 1) {
      const { run } = this.#first;
      this.#first.cancel();
      run?.();
    }
    if (this.#timer !== undefined) return;
    if (this.#first === undefined) this.#onEmpty();
    else this.#startTimer();
  }
}
