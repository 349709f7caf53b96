import { setTimeout as sleep } from "node:timers/promises";
import { formatBytes, median } from "../statistics.ts";
import { type ContestantName, type ContestantOptions, contestantNames, startContestant } from "./contestants.ts";
import type { Work } from "./lane.ts";
import { askLoad, type LoadLink } from "./load-link.ts";
import { readResidentBytes } from "./process-usage.ts";

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
  readonly options: ContestantOptions;
  /** Of HTTP/1.1. */
  readonly work: Work;
  /** How many processes of each are measured. */
  readonly rounds: number;
  readonly warmUpMs: number;
  readonly connections: number;
}

/** How long a process may settle before it is read. */
const settleMs = 1000;

/** Medians over processes, each started for one reading. Rejects where an answer is wrong or a connection gets lost. */
export async function measureMemory(options: MemoryOptions): Promise<MemoryFigures> {
  const readings = new Map<ContestantName, MemoryReading[]>(contestantNames.map((name) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    for (const name of contestantNames) readings.get(name)?.push(await readOne(name, options));
  }
  const entries = contestantNames.map((name) => {
    const of = (pick: (reading: MemoryReading) => number): number => median((readings.get(name) ?? []).map(pick));
    return [name, { start: of(({ start }) => start), warm: of(({ warm }) => warm), idle: of(({ idle }) => idle) }];
  });
  return Object.fromEntries(entries) as MemoryFigures;
}

async function readOne(
  name: ContestantName,
  { load, options, work, warmUpMs, connections }: MemoryOptions,
): Promise<MemoryReading> {
  const contestant = await startContestant(name, options);
  try {
    const { pid, ports } = contestant;
    const asked = { work, port: ports.http ?? 0, pid };
    const settle = Math.min(settleMs, warmUpMs);
    await sleep(settle);
    const start = readResidentBytes(pid);
    await askLoad(load, { do: "run", ...asked, lanes: 50, warmUpMs: 0, measureMs: warmUpMs }, "result");
    await sleep(settle);
    const warm = readResidentBytes(pid);
    const held = await askLoad(load, { do: "hold", ...asked, count: connections, holdMs: settle }, "held");
    return { start, warm, idle: held.residentBytes };
  } catch (cause) {
    throw new Error(`memory of ${name}: ${String(cause)}`);
  } finally {
    await contestant.stop();
  }
}

/** Of the companion, for the idle connections of the bench. */
const mostGrownBytes = 60e6;

export function formatMemory(figures: MemoryFigures, connections: number): string {
  const row = (name: string, cells: readonly string[]): string =>
    `  ${name.padEnd(52)}${cells.map((cell) => cell.padStart(18)).join("")}`;
  const title = `Resident memory, ${connections} idle connections`;
  const rows = contestantNames.map((name) => {
    const { start, warm, idle } = figures[name];
    return row(name, [...[start, warm, idle].map(formatBytes), ...[idle - start, idle - warm].map(formatGrowth)]);
  });
  const { start, warm, idle } = figures.companion;
  const judge = (bytes: number): string => (bytes <= mostGrownBytes ? "met" : "NOT MET");
  return [
    row(title, ["start", "after traffic", "with connections", "over start", "over after traffic"]),
    ...rows,
    `    companion, required at most ${formatBytes(mostGrownBytes)}: over what it had after traffic ${judge(idle - warm)}, over the start ${judge(idle - start)}`,
  ].join("\n");
}

const formatGrowth = (bytes: number): string => `${bytes < 0 ? "-" : "+"}${formatBytes(Math.abs(bytes))}`;
