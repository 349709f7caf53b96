/** How many there were in the last while: counted in tenths of it, as Envoy does, without a timer. */
import type { Clock } from "../lib/clock.ts";

const slotCount = 10;

export class RecentCount {
  readonly #clock: Clock;
  readonly #slotMs: number;
  readonly #slots = new Array<number>(slotCount).fill(0);
  #slot = 0;
  #sum = 0;

  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock;
    this.#slotMs = intervalMs / slotCount;
    this.#slot = this.#now();
  }

  add(): void {
    this.#expire();
    const place = this.#slot % slotCount;
    this.#slots[place] = (this.#slots[place] ?? 0) + 1;
    this.#sum += 1;
  }

  get value(): number {
    this.#expire();
    return this.#sum;
  }

  #now(): number {
    return Math.floor(this.#clock.monotonic() / this.#slotMs);
  }

  #expire(): void {
    const now = this.#now();
    for (let steps = Math.min(slotCount, now - this.#slot); steps > 0; steps -= 1) {
      this.#slot += 1;
      const place = this.#slot % slotCount;
      this.#sum -= this.#slots[place] ?? 0;
      this.#slots[place] = 0;
    }
    this.#slot = now;
  }
}
