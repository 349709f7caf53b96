import type { Clock } from "./clock.ts";

/** Milliseconds that work may take before requests have their turn. */
const sliceMs = 1;
/**
 * Milliseconds that then belong to everybody else. A single turn of the event loop would do for one step of a request, which
 * takes several: it is read, sent on, answered, and its answer sent back.
 */
const restMs = 5;

/** Long work in slices: between them the event loop serves everybody else. */
export class Turns {
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  readonly #restMs: number;
  #startedAt: number;

  constructor(clock: Pick<Clock, "monotonic" | "after">, rest = restMs) {
    this.#clock = clock;
    this.#restMs = rest;
    this.#startedAt = clock.monotonic();
  }

  /** True where it is time to wait for `next`. */
  get isOver(): boolean {
    return this.#clock.monotonic() - this.#startedAt >= sliceMs;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(this.#restMs, resolve));
    this.#startedAt = this.#clock.monotonic();
  }
}
