import { readFileSync } from "node:fs";

/** Time of all processors in the kernel's ticks, since it was started. */
interface ProcessorTime {
  readonly all: number;
  /** Not given to this machine although it had work to do: others run on the same processors. */
  readonly stolen: number;
}

/** Columns of the first line of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal. */
const timeColumns = 8;

/** Begins to measure; the result tells what share of the time since then was stolen, from 0 to 1. */
export function watchStolenTime(): () => number {
  const before = readTime();
  return () => {
    const now = readTime();
    return (now.stolen - before.stolen) / Math.max(1, now.all - before.all);
  };
}

function readTime(): ProcessorTime {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const ticks = line
    .split(/\s+/)
    .slice(1, 1 + timeColumns)
    .map(Number);
  return { all: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[timeColumns - 1] ?? 0 };
}
