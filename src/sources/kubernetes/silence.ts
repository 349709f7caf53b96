import type { Clock, Timer } from "../../lib/clock.ts";
import type { KubernetesLimits } from "./limits.ts";

export interface SilenceOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly limits: KubernetesLimits;
  /** Nothing came for a while (limits.probeMs, less up to a quarter); called again after each such time. */
  readonly onDoubt: () => void;
  /** Nothing came for limits.silenceMs. Called once. */
  readonly onSilent: () => void;
}

/** Measures how long a watch has told nothing. */
export class Silence {
  readonly #options: SilenceOptions;
  #heardAtMs: number;
  #timer: Timer | undefined;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#heardAtMs = options.clock.monotonic();
    this.#arm(this.#doubtMs());
  }

  /** When something came last, on the monotonic clock. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  note(): void {
    this.#heardAtMs = this.#options.clock.monotonic();
  }

  stop(): void {
    this.#timer?.close();
    this.#timer = undefined;
  }

  /** Not all watches in step. */
  #doubtMs(): number {
    return this.#options.limits.probeMs * (1 - this.#options.random() / 4);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#options.clock.after(delayMs, () => this.#look(delayMs));
  }

  #look(waitedMs: number): void {
    const { clock, limits, onDoubt, onSilent } = this.#options;
    const quietMs = clock.monotonic() - this.#heardAtMs;
    if (quietMs >= limits.silenceMs) {
      onSilent();
    } else if (quietMs < waitedMs) {
      // Heard in between: the rest of the time is still to go.
      this.#arm(Math.max(1, waitedMs - quietMs));
    } else {
      this.#arm(Math.min(this.#doubtMs(), limits.silenceMs - quietMs));
      onDoubt();
    }
  }
}
