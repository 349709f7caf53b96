import { type FigureName, figureStyles, formatFigure } from "./figures.ts";
import { formatTable } from "./report.ts";
import { formatRun, keyOfRun, type Results, type Run } from "./results.ts";

const compared: readonly FigureName[] = [
  ...(["p50Ms", "p99Ms", "cpuSeconds", "bytes", "rssBytes", "heapBytes", "loopMaxMs"] as const),
];

/** Old, new and their ratio for every scenario that both have; below 1 is less than before. */
export function formatComparison(before: Results, after: Results): string {
  const old = new Map(before.runs.map((run) => [keyOfRun(run), run]));
  const tables = after.runs.flatMap((run) => {
    const other = old.get(keyOfRun(run));
    return other === undefined ? [] : [`\n${formatRun(run)}\n${compareRuns(other, run)}`];
  });
  if (tables.length === 0) return "\nThe earlier file holds no run of this source, variant and size.";
  return [`\nBefore: commit ${before.machine.commit}; now: ${after.machine.commit}`, ...tables].join("\n");
}

function compareRuns(before: Run, after: Run): string {
  const head = ["scenario", ...compared.flatMap((name) => [figureStyles[name].title, "now", "ratio"])];
  const rows = after.rows.flatMap(({ scenario, figures }) => {
    const old = before.rows.find((row) => row.scenario === scenario)?.figures;
    if (old === undefined) return [];
    const cells = compared.flatMap((name) => {
      const [was, is] = [old[name], figures[name]];
      const ratio = was === undefined || is === undefined || was === 0 ? "-" : (is / was).toFixed(2);
      return [formatFigure(old, name), formatFigure(figures, name), ratio];
    });
    return [[scenario, ...cells]];
  });
  return formatTable([head, ...rows]);
}
