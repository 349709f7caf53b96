import type { Clock, Timer } from "../lib/clock.ts";
import type { SnapshotChange } from "../snapshot/snapshot.ts";

export interface DebounceOptions {
  readonly clock: Clock;
  /** Quiet time that ends a burst, in milliseconds (PILOT_DEBOUNCE_AFTER). */
  readonly quietMs: number;
  /** Longest time that a burst without quiet holds changes back, in milliseconds (PILOT_DEBOUNCE_MAX). */
  readonly maxMs: number;
  /** Takes one change or several merged ones, with the time that the first of them waited, in milliseconds. */
  readonly run: (change: SnapshotChange, waitedMs: number) => void;
}

/**
 * Holds bursts of changes together. A change on a quiet mesh goes through at once; what follows within the quiet time
 * waits until there was quiet, or for the longest time.
 */
export class Debounce {
  readonly #options: DebounceOptions;
  #pending: SnapshotChange | undefined;
  #firstAt = 0;
  #lastAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(options: DebounceOptions) {
    this.#options = options;
  }

  add(change: SnapshotChange): void {
    const { clock, quietMs, run } = this.#options;
    const now = clock.monotonic();
    const isQuiet = this.#pending === undefined && now - this.#lastAt >= quietMs;
    this.#lastAt = now;
    if (isQuiet) {
      run(change, 0);
      return;
    }
    if (this.#pending === undefined) this.#firstAt = now;
    this.#pending = this.#pending === undefined ? change : mergeChanges(this.#pending, change);
    if (this.#timer === undefined) this.#startTimer(quietMs);
  }

  close(): void {
    this.#timer?.close();
    this.#timer = undefined;
    this.#pending = undefined;
  }

  #startTimer(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => this.#check());
  }

  #check(): void {
    const { clock, quietMs, maxMs, run } = this.#options;
    this.#timer = undefined;
    const change = this.#pending;
    if (change === undefined) return;
    const now = clock.monotonic();
    const dueAt = Math.min(this.#lastAt + quietMs, this.#firstAt + maxMs);
    if (now < dueAt) {
      this.#startTimer(dueAt - now);
      return;
    }
    this.#pending = undefined;
    run(change, now - this.#firstAt);
  }
}

/** Two changes, one after the other, as one. */
export function mergeChanges(first: SnapshotChange, second: SnapshotChange): SnapshotChange {
  return {
    before: first.before,
    after: second.after,
    kinds: first.kinds.union(second.kinds),
    objects: [...first.objects, ...second.objects],
    services: first.services.union(second.services),
    endpoints: first.endpoints.union(second.endpoints),
  };
}
