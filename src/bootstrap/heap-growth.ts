import { setFlagsFromString } from "node:v8";

/**
 * By how many percent the heap may grow from what was alive until the next collection of all of it. V8 by itself lets it
 * more than double: what is replaced under changes without end lies scattered between what lives, and most of its pages are
 * never given back. Measured with 1,000 proxies and services: at most 295 instead of 380 MB resident under churn, 260
 * instead of 295 MB after all have connected, for 0.3 CPU seconds more while they do.
 */
const growthPercent = 30;

/** For programs that own their process: the setting is that of the whole of it. */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
