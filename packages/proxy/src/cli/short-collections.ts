/**
 * Pauses for garbage while configuration is taken over, and while connections come and go by the hundreds. V8 collects young
 * objects when their space, of tens of megabytes, is nearly full, and copies those that live while everything waits: next to
 * none of what requests leave, but nearly all of what a configuration consists of, and all of what belongs to connections that
 * are still there, which takes it 50 ms at a time. Told to begin earlier, it does the same work in pieces of some
 * milliseconds, and would cost requests a tenth of the processor were it always so. All of the heap, which takes it 5 to
 * 10 ms at the end of 40 in which it keeps all processors busy, it would go through each time that it has grown by a half or
 * by what young objects have room for: four times for 50 MB of clusters and as often for 2,000 handshakes, with next to
 * nothing to free.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { LongWork, LongWorkKind } from "../lib/long-work.ts";

/** The percent of the young space at which a collection is due as soon as the event loop has a turn for it. */
const trigger = { flag: "minor-gc-task-trigger", usual: 80, early: 4 } as const;
/**
 * By how many percent the heap may grow until the next collection of all of it; 0 lets V8 decide. What lasts lives; of
 * connections that come and go a larger heap would be made of what is gone.
 */
const growth = { flag: "heap-growing-percent", usual: 0, large: 300 } as const;

export interface Collector {
  setFlag(flag: string): void;
  /** Collects young objects at once. */
  collectYoung(): void;
}

/** For programs that own their process: the settings are those of the whole of it. */
export function createShortCollections({ setFlag, collectYoung }: Collector = exposeCollector()): LongWork {
  const users: Record<LongWorkKind, number> = { lasting: 0, passing: 0 };
  const count = (): number => users.lasting + users.passing;
  return {
    begin(kind) {
      users[kind] += 1;
      if (kind === "lasting" && users[kind] === 1) setFlag(`--${growth.flag}=${growth.large}`);
      if (count() !== 1) return;
      setFlag(`--${trigger.flag}=${trigger.early}`);
      // V8 looks at this flag when a collection ends. Until the next one by itself tens of megabytes would come together.
      collectYoung();
    },
    end(kind) {
      users[kind] -= 1;
      if (kind === "lasting" && users[kind] === 0) setFlag(`--${growth.flag}=${growth.usual}`);
      if (count() === 0) setFlag(`--${trigger.flag}=${trigger.usual}`);
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
