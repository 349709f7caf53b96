import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../statistics.ts";
import { type Contestant, type ContestantName, contestantNames } from "./contestants.ts";
import { askLoad, type LoadLink } from "./load-link.ts";
import { readResidentBytes } from "./process-usage.ts";
import { get } from "./scenarios.ts";

/** Resident bytes of one process. */
export interface MemoryReading {
  /** Ready, and not yet asked for anything. */
  readonly start: number;
  /** After traffic, whose connections are gone. */
  readonly warm: number;
  /** With idle connections. */
  readonly idle: number;
}

export type MemoryFigures = Readonly<Record<ContestantName, MemoryReading>>;

export interface MemoryOptions {
  readonly load: LoadLink;
  /** Of the proxy. */
  readonly warmUpCpuSeconds: number;
  /** How long a process may settle before it is read. */
  readonly settleMs: number;
  readonly connections: number;
}

/** Takes a process that nobody has asked yet. Rejects where an answer is wrong or a connection gets lost. */
export async function measureMemory(
  { name, pid, ports }: Contestant,
  { load, warmUpCpuSeconds, settleMs, connections }: MemoryOptions,
): Promise<MemoryReading> {
  const asked = { work: get, port: ports.http ?? 0, pid };
  try {
    await sleep(settleMs);
    const start = readResidentBytes(pid);
    await askLoad(load, { do: "run", ...asked, lanes: 50, warmUpCpuSeconds, measureMs: 0 }, "result");
    await sleep(settleMs);
    const warm = readResidentBytes(pid);
    const held = await askLoad(load, { do: "hold", ...asked, count: connections, holdMs: settleMs }, "held");
    return { start, warm, idle: held.residentBytes };
  } catch (cause) {
    throw new Error(`memory of ${name}: ${String(cause)}`);
  }
}

/** Medians over processes. */
export function summarizeMemory(readings: Readonly<Record<ContestantName, readonly MemoryReading[]>>): MemoryFigures {
  const entries = contestantNames.map((name) => {
    const of = (pick: (reading: MemoryReading) => number): number => median(readings[name].map(pick));
    return [name, { start: of(({ start }) => start), warm: of(({ warm }) => warm), idle: of(({ idle }) => idle) }];
  });
  return Object.fromEntries(entries) as MemoryFigures;
}
