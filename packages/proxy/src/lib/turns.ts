import type { Clock } from "./clock.ts";

/** Milliseconds that work may take before requests have their turn. */
const sliceMs = 2;

/** Long work in slices: between them the event loop serves everybody else. */
export class Turns {
  readonly #clock: Pick<Clock, "monotonic">;
  #startedAt: number;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  /** True where it is time to wait for `next`. */
  get isOver(): boolean {
    return this.#clock.monotonic() - this.#startedAt >= sliceMs;
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#startedAt = this.#clock.monotonic();
  }
}
