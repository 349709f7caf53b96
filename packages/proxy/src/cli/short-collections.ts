/**
 * Pauses for garbage while configuration is taken over, and while connections come and go by the hundreds. V8 collects young
 * objects when their space, of tens of megabytes, is nearly full, and copies those that live while everything waits: next to
 * none of what requests leave, but nearly all of what a configuration consists of, and all of what belongs to connections that
 * are still there, which takes it 50 ms at a time. Told to begin earlier, it does the same work in pieces of some
 * milliseconds, and would cost requests a tenth of the processor were it always so. All of the heap, which takes it 5 to
 * 10 ms, it would go through each time that it has grown by a half: four times for 50 MB of clusters, with next to nothing
 * to free.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { LongWork } from "../lib/long-work.ts";

/**
 * The first is the percent of the young space at which a collection is due as soon as the event loop has a turn for it, the
 * second by how many percent the heap may grow until the next one of all of it; 0 lets V8 decide.
 */
interface Collecting {
  readonly "minor-gc-task-trigger": number;
  readonly "heap-growing-percent": number;
}

const usual: Collecting = { "minor-gc-task-trigger": 80, "heap-growing-percent": 0 };
const inPieces: Collecting = { "minor-gc-task-trigger": 4, "heap-growing-percent": 300 };

export interface Collector {
  setFlag(flag: string): void;
  /** Collects young objects at once. */
  collectYoung(): void;
}

/** For programs that own their process: the settings are those of the whole of it. */
export function createShortCollections({ setFlag, collectYoung }: Collector = exposeCollector()): LongWork {
  let users = 0;
  const set = (collecting: Collecting): void => {
    for (const [name, value] of Object.entries(collecting)) setFlag(`--${name}=${value}`);
  };
  return {
    begin() {
      users += 1;
      if (users !== 1) return;
      set(inPieces);
      // V8 looks at its flags when a collection ends. Until the next one by itself tens of megabytes would come together.
      collectYoung();
    },
    end() {
      users -= 1;
      if (users === 0) set(usual);
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
