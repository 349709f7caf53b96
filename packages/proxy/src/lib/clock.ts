/** Time as an input. The only file that touches the platform's timers: every timer has an owner that can close it. */

/** A timer that was started and can be closed; closing twice is harmless. */
export interface Timer {
  close(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds on a clock that never goes back; for durations. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs` until closed. The timer does not keep the process alive. */
  every(periodMs: number, run: () => void): Timer;
}

/** The longest that the platform's timers wait, some 24 days: they take anything longer for 1 ms. */
const maxDelayMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(delayMs, maxDelayMs));
    handle.unref();
    return { close: () => clearTimeout(handle) };
  },
  every(periodMs, run) {
    const handle = setInterval(run, Math.min(periodMs, maxDelayMs));
    handle.unref();
    return { close: () => clearInterval(handle) };
  },
};
