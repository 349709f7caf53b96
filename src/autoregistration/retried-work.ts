import type { Clock, Timer } from "../lib/clock.ts";

export interface RetriedWorkOptions {
  readonly clock: Clock;
  /** Does what there is to do by now; rejects where it has to be tried again. */
  readonly run: () => Promise<void>;
  /** Told of each failure; `attempt` counts from 1. */
  readonly onFailure: (error: unknown, attempt: number) => void;
}

const firstPauseMs = 20;
const longestPauseMs = 30_000;

/** Work that is asked for at any time, runs one after the other, and is tried again after growing pauses. */
export class RetriedWork {
  readonly #options: RetriedWorkOptions;
  #running: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isWanted = false;
  #failures = 0;

  constructor(options: RetriedWorkOptions) {
    this.#options = options;
  }

  /** Runs it once more, as soon as it does not run. */
  request(): void {
    this.#isWanted = true;
    this.#cancelTimer();
    this.#running ??= this.#runAll();
  }

  /** Runs it again only after `delayMs`, unless somebody asks for it before. */
  requestLater(delayMs: number): void {
    this.#cancelTimer();
    this.#timer = this.#options.clock.after(delayMs, () => this.request());
  }

  /** Gives up what was to be tried again; resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#running;
    this.#cancelTimer();
  }

  #cancelTimer(): void {
    this.#timer?.close();
    this.#timer = undefined;
  }

  async #runAll(): Promise<void> {
    // What was asked for in the same moment runs once.
    await Promise.resolve();
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.#options.run();
        this.#failures = 0;
      } catch (error) {
        this.#failures++;
        this.#options.onFailure(error, this.#failures);
        this.requestLater(Math.min(firstPauseMs * 4 ** (this.#failures - 1), longestPauseMs));
      }
    }
    this.#running = undefined;
  }
}
