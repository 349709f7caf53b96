import type { Clock, Timer } from "../../lib/clock.ts";

export interface ManualClock extends Clock {
  /** Lets time pass, and runs what is due. */
  advance(ms: number): void;
  /** Timers that wait. */
  waiting(): number;
}

export function createManualClock(): ManualClock {
  let now = 0;
  const timers = new Map<object, { readonly at: number; readonly run: () => void }>();
  const after = (delayMs: number, run: () => void): Timer => {
    const timer = { close: () => timers.delete(timer) };
    timers.set(timer, { at: now + delayMs, run });
    return timer;
  };
  return {
    now: () => now,
    monotonic: () => now,
    after,
    every() {
      throw new Error("nothing here repeats");
    },
    advance(ms) {
      now += ms;
      for (const [timer, { at, run }] of [...timers]) {
        if (at > now || !timers.delete(timer)) continue;
        run();
      }
    },
    waiting: () => timers.size,
  };
}
