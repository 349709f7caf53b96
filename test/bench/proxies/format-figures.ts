import { contestantNames } from "./contestants.ts";
import type { ScenarioFigures } from "./run-scenario.ts";
import type { Scenario } from "./scenarios.ts";

/** A table of one scenario, with what is required of the companion under it. */
export function formatFigures({ title, unit, required }: Scenario, figures: ScenarioFigures): string {
  const rows = contestantNames.map((name) => {
    const measured = figures[name];
    const cells =
      measured === undefined
        ? ["-", "-", "-", "-"]
        : [
            formatCount(measured.perCpuSecond),
            formatCount(measured.perSecond),
            ...[measured.p50Ms, measured.p99Ms].map(formatMs),
          ];
    return formatRow(name, cells);
  });
  const head = formatRow(title, [`${unit}/CPU s`, `${unit}/s`, "p50", "p99"]);
  const ratios = contestantNames.flatMap((name) => {
    const [own, other, least] = [figures.companion, figures[name], required[name]];
    if (name === "companion" || own === undefined || other === undefined) return [];
    const ratio = own.perCpuSecond / other.perCpuSecond;
    const wanted = least === undefined ? "" : `, required ${least.toFixed(2)}: ${ratio >= least ? "met" : "NOT MET"}`;
    return [`    companion / ${name}: ${ratio.toFixed(2)}${wanted}`];
  });
  return [head, ...rows, ...ratios].join("\n");
}

function formatRow(name: string, cells: readonly string[]): string {
  return `  ${name.padEnd(52)}${cells.map((cell) => cell.padStart(18)).join("")}`;
}

const formatCount = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(0);

const formatMs = (ms: number): string => `${ms.toFixed(2)} ms`;
