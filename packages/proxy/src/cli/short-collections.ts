/**
 * Pauses for garbage while configuration is taken over. V8 collects young objects when their space, of tens of megabytes, is
 * nearly full, and copies those that live while everything waits: next to none of what requests leave, but nearly all of what
 * a configuration consists of, which takes it 50 ms at a time. Told to begin earlier, it does the same work in pieces of some
 * milliseconds, and would cost requests a tenth of the processor were it always so.
 */
import { setFlagsFromString } from "node:v8";
import type { LongWork } from "../lib/long-work.ts";

/** Percent of the space at which a collection is due as soon as the event loop has a turn for it (V8: 80). */
const usualTrigger = 80;
const earlyTrigger = 4;

/** For programs that own their process: the setting is that of the whole of it. */
export function createShortCollections(setFlag: (flag: string) => void = setFlagsFromString): LongWork {
  let users = 0;
  const set = (percent: number): void => setFlag(`--minor-gc-task-trigger=${percent}`);
  return {
    begin() {
      users += 1;
      if (users === 1) set(earlyTrigger);
    },
    end() {
      users -= 1;
      if (users === 0) set(usualTrigger);
    },
  };
}
