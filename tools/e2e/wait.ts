/** Bounded waiting for something that another program does. */
import { setTimeout as sleep } from "node:timers/promises";

/** What the last try of waitFor() found missing. */
export type Attempt = () => Promise<string | undefined> | string | undefined;

/**
 * Tries until `attempt` gives undefined. Rejects after `limitMs` with what was missing last; an attempt that throws has
 * its message taken for that.
 */
export async function waitFor(what: string, limitMs: number, attempt: Attempt): Promise<void> {
  const end = Date.now() + limitMs;
  let missing: string | undefined = "nothing was tried";
  do {
    try {
      missing = await attempt();
    } catch (cause) {
      missing = cause instanceof Error ? cause.message : String(cause);
    }
    if (missing === undefined) return;
    await sleep(200);
  } while (Date.now() < end);
  throw new Error(`${what}: gave up after ${limitMs / 1000} s; last: ${missing}`);
}
