import type { Clock, Timer } from "../../lib/clock.ts";

/** Calls `onIdle` once when nothing has happened for a time. A touch costs a look at the clock and no timer. */
export class IdleTimer {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onIdle: () => void;
  #lastAt: number;
  #timer: Timer | undefined;

  /** 0 milliseconds: never. */
  constructor(clock: Clock, timeoutMs: number, onIdle: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onIdle = onIdle;
    this.#lastAt = clock.monotonic();
    if (timeoutMs > 0) this.#wait(timeoutMs);
  }

  touch(): void {
    this.#lastAt = this.#clock.monotonic();
  }

  close(): void {
    this.#timer?.close();
    this.#timer = undefined;
  }

  #wait(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => {
      const leftMs = this.#lastAt + this.#timeoutMs - this.#clock.monotonic();
      if (leftMs > 0) this.#wait(leftMs);
      else this.#onIdle();
    });
  }
}
