/** What outlier detection knows of one host. */

/** Requests of the interval under way and of the last one. */
export class RateWindow {
  #total = 0;
  #success = 0;
  #lastTotal = 0;
  #lastSuccess = 0;

  count(isSuccess: boolean): void {
    this.#total += 1;
    if (isSuccess) this.#success += 1;
  }

  /** The interval is over. */
  turn(): void {
    this.#lastTotal = this.#total;
    this.#lastSuccess = this.#success;
    this.#total = 0;
    this.#success = 0;
  }

  get volume(): number {
    return this.#lastTotal;
  }

  /** Percent; 0 where there was no request. */
  get rate(): number {
    return this.#lastTotal === 0 ? 0 : (100 * this.#lastSuccess) / this.#lastTotal;
  }
}

export class HostMonitor {
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocal = 0;
  /** Ejections that count for how long the next one is. */
  backOff = 0;
  ejectedAt: number | undefined;
  unejectedAt: number | undefined;
  jitterMs = 0;
  readonly external = new RateWindow();
  readonly local = new RateWindow();

  resetConsecutive(): void {
    this.consecutive5xx = 0;
    this.consecutiveGateway = 0;
    this.consecutiveLocal = 0;
  }
}
