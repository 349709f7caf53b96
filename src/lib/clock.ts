/**
 * Time as an input. The only file that touches the platform's timers: everything else is handed a Clock, so that tests
 * can move time by hand and every timer has an owner that can close it.
 */

/** A timer that was started and can be closed; closing twice is harmless. */
export interface Timer {
  close(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds on a clock that never goes back; for measuring durations only. */
  monotonic(): number;
  /** Calls `run` once after `delayMs` milliseconds. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` every `periodMs` milliseconds until closed. The timer does not keep the process alive. */
  every(periodMs: number, run: () => void): Timer;
}

/** The longest that the platform's timers wait, some 24 days: they take anything longer, infinity too, for 1 ms. */
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

/** Formats an instant (milliseconds since the epoch) as RFC 3339 in UTC, as Kubernetes and istiod print times. */
export function formatInstant(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** The instant (milliseconds since the epoch) that a text in RFC 3339 names; undefined where it names none. */
export function parseInstant(text: string): number | undefined {
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? undefined : instant;
}

/** The instant (milliseconds since the epoch) in the platform's form, for packages that ask for it. */
export function dateOf(epochMs: number): Date {
  return new Date(epochMs);
}
