import { formatBytes } from "../statistics.ts";
import { contestantNames } from "./contestants.ts";
import type { MemoryFigures } from "./measure-memory.ts";
import type { ScenarioFigures } from "./run-scenario.ts";
import type { Scenario } from "./scenarios.ts";

/** A table of one scenario, with what is required of the companion under it. */
export function formatFigures({ title, unit, required }: Scenario, figures: ScenarioFigures): string {
  const rows = contestantNames.map((name) => {
    const measured = figures[name];
    if (measured === undefined) return formatRow(name, ["-", "-", "-", "-"]);
    const { perCpuSecond, perSecond, p50Ms, p99Ms } = measured;
    return formatRow(name, [...[perCpuSecond, perSecond].map(formatCount), ...[p50Ms, p99Ms].map(formatLatency)]);
  });
  const head = formatRow(title, [`${unit}/CPU s`, `${unit}/s`, "p50", "p99"]);
  const ratios = contestantNames.flatMap((name) => {
    const [own, other, least] = [figures.companion, figures[name], required[name]];
    if (name === "companion" || own === undefined || other === undefined) return [];
    const ratio = own.perCpuSecond / other.perCpuSecond;
    const wanted = least === undefined ? "" : `, required at least ${least.toFixed(2)}: ${judge(ratio >= least)}`;
    return [`    companion / ${name}: ${ratio.toFixed(2)}${wanted}`];
  });
  return [head, ...rows, ...ratios].join("\n");
}

/** Bytes over the start that the companion may have with the bench's idle connections. */
const mostGrownBytes = 60e6;

/** A table of memory; what is required is judged by both readings that there are of a start. */
export function formatMemory(figures: MemoryFigures, connections: number): string {
  const rows = contestantNames.map((name) => {
    const { start, warm, idle } = figures[name];
    return formatRow(name, [...[start, warm, idle].map(formatBytes), ...[idle - start, idle - warm].map(formatGrowth)]);
  });
  const { start, warm, idle } = figures.companion;
  const most = formatBytes(mostGrownBytes);
  return [
    formatRow(`Resident memory, ${connections} idle connections`, [
      "start",
      "warmed up",
      "idle",
      "from start",
      "from warm",
    ]),
    ...rows,
    `    companion, required at most ${most} more than at its start: ${judge(idle - start <= mostGrownBytes)}`,
    `    companion, required at most ${most} more than warmed up: ${judge(idle - warm <= mostGrownBytes)}`,
  ].join("\n");
}

function formatRow(name: string, cells: readonly string[]): string {
  return `  ${name.padEnd(50)}${cells.map((cell) => cell.padStart(18)).join("")}`;
}

const judge = (isMet: boolean): string => (isMet ? "met" : "NOT MET");

const formatCount = (value: number): string => Math.round(value).toLocaleString("en");

/** With the fractions that formatMs leaves out. */
const formatLatency = (ms: number): string => `${ms.toFixed(2)} ms`;

const formatGrowth = (bytes: number): string => `${bytes < 0 ? "-" : "+"}${formatBytes(Math.abs(bytes))}`;
