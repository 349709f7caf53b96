import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

const lookMs = 5000;
/** Less than this is a clock that is kept right in small steps, or a process that had to wait for its turn. */
const jumpMs = 5000;

/**
 * Says so when the time of day jumps: lifetimes of certificates are measured by it, so that the log should show why they
 * look wrong. Everything else is measured on the monotonic clock. Stopped by closing the timer.
 */
export function watchClock(clock: Clock, log: Log): Timer {
  const difference = (): number => clock.now() - clock.monotonic();
  let before = difference();
  return clock.every(lookMs, () => {
    const after = difference();
    const jumpedMs = Math.round(after - before);
    if (Math.abs(jumpedMs) >= jumpMs) log.warn("the time of day has jumped", { jumpedMs });
    before = after;
  });
}
