/** What the kernel says about a process: Linux only, as is the bench. */
import { readFileSync } from "node:fs";

/** The kernel counts CPU time for programs in hundredths of a second (USER_HZ), whatever its own clock is. */
const ticksPerSecond = 100;

/** CPU seconds of a process since its start, all its threads, in user and in kernel mode. Throws where it has ended. */
export function readCpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name, in brackets, may hold anything; the third field comes after it, and the times are the 14th and 15th.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Bytes of a process that are in memory. Throws where it has ended. */
export function readResidentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  if (kib === undefined) throw new Error(`process ${pid} has no memory any more`);
  return Number(kib) * 1024;
}
