/**
 * Pauses for garbage while configuration is taken over, and while connections come and go by the hundreds. V8 collects young
 * objects when their space, of tens of megabytes, is nearly full, and copies those that live while everything waits: next to
 * none of what requests leave, but nearly all of what a configuration consists of, and all of what belongs to connections that
 * are still there, which takes it 50 ms at a time. Told to begin earlier, it does the same work in pieces of some
 * milliseconds, and would cost requests a tenth of the processor were it always so.
 *
 * All of the heap it goes through in 40 ms that keep all processors of a small machine busy, with a pause of 5 to 20 ms at
 * their end. It begins as soon as the old objects could grow beyond what it allows them if all young ones became old: where
 * it allows them less than the young ones have room for, which it does after a time of rest, the next collection follows
 * the last one at once, and finds next to nothing.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { LongWork } from "../lib/long-work.ts";

/** The percent of the young space at which a collection is due as soon as the event loop has a turn for it. */
const trigger = { flag: "minor-gc-task-trigger", usual: 80, early: 4 } as const;
/**
 * The percent by which the heap may grow until the next collection of all of it, at any time: as much as V8 itself allows when
 * it has much to do. A proxy that has begun to work has 32 MB, which may become 128 then, and the young objects have room for
 * 64: with 200 it was just not enough for both.
 */
const growth = "--heap-growing-percent=300";

export interface Collector {
  setFlag(flag: string): void;
  /** Collects young objects at once. */
  collectYoung(): void;
}

/** For programs that own their process: the settings are those of the whole of it. */
export function createShortCollections({ setFlag, collectYoung }: Collector = exposeCollector()): LongWork {
  let users = 0;
  setFlag(growth);
  return {
    begin() {
      users += 1;
      if (users !== 1) return;
      setFlag(`--${trigger.flag}=${trigger.early}`);
      // V8 looks at this flag when a collection ends. Until the next one by itself tens of megabytes would come together.
      collectYoung();
    },
    end() {
      users -= 1;
      if (users === 0) setFlag(`--${trigger.flag}=${trigger.usual}`);
    },
  };
}

/** That of V8, which shows it to new contexts alone, and to none after this one. */
function exposeCollector(): Collector {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  setFlagsFromString("--no-expose-gc");
  return { setFlag: setFlagsFromString, collectYoung: () => collect({ type: "minor" }) };
}
