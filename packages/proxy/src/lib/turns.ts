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
  #startedAt: number;

  constructor(clock: Pick<Clock, "monotonic" | "after">) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  /** True where it is time to wait for `next`. */
  get isOver(): boolean {
    return this.#clock.monotonic() - this.#startedAt >= sliceMs;
  }

  async next(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.after(restMs, resolve));
    this.#startedAt = this.#clock.monotonic();
  }
}
