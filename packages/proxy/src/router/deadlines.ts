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

  /** Calls `run` once in `delayMs` milliseconds. `now` saves a look at the clock where it is known. */
  add(delayMs: number, run: () => void, now = this.#clock.monotonic()): Deadline {
    let queue = this.#queues.get(delayMs);
    if (queue === undefined) {
      queue = new DeadlineQueue(this.#clock, delayMs, () => this.#queues.delete(delayMs));
      this.#queues.set(delayMs, queue);
    }
    return queue.add(run, now);
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

  constructor(clock: Clock, delayMs: number, onEmpty: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#onEmpty = onEmpty;
  }

  add(run: () => void, now: number): Deadline {
    const entry = new Entry(this, now + this.#delayMs, run);
    entry.before = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.after = entry;
    this.#last = entry;
    this.#timer ??= this.#clock.after(this.#delayMs, () => this.#fire());
    return entry;
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
    else this.#timer = this.#clock.after(Math.max(1, this.#first.at - now), () => this.#fire());
  }
}
