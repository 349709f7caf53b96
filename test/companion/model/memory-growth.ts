import type { ModelResult } from "./run-model.ts";

const mebibyte = 1 << 20;
/**
 * How much more there may be at the end than after the first tenth. The configuration is another one then, and Node's
 * allocator keeps pages as it likes: what leaks with every change or request is many times as much.
 */
const allowed = { heap: 6 * mebibyte, resident: 64 * mebibyte };

export interface Growth {
  readonly isFlat: boolean;
  readonly text: string;
}

/** Compares memory after the first tenth of a run and at its end. */
export function describeGrowth({ early, late }: ModelResult["memory"]): Growth {
  const show = (bytes: number): string => (bytes / mebibyte).toFixed(1);
  const isFlat = late.heap - early.heap <= allowed.heap && late.resident - early.resident <= allowed.resident;
  const heap = `heap ${show(early.heap)} MiB after the first tenth, ${show(late.heap)} at the end`;
  const resident = `resident ${show(early.resident)} MiB, then ${show(late.resident)}`;
  const resources = JSON.stringify({ early: early.resources, late: late.resources });
  return { isFlat, text: `${isFlat ? "memory is flat" : "MEMORY GREW"}: ${heap}; ${resident}; ${resources}` };
}
