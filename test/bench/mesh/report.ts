import { type FigureName, type Figures, figureStyles, formatFigure } from "./figures.ts";
import { formatRun, type Machine, type Row, type Run } from "./results.ts";

const mainFigures: readonly FigureName[] = [
  ...(["p50Ms", "p99Ms", "maxMs", "cpuSeconds", "clientCpuSeconds", "bytes"] as const),
  ...(["rssBytes", "heapBytes", "loopP99Ms", "loopMaxMs", "connected"] as const),
];

/** Said after a scenario, where it has them. */
const furtherFigures: readonly FigureName[] = [
  ...(["readyMs", "bytesElsewhere", "undisturbedP99Ms", "endedStreams", "changes"] as const),
  ...(["rssStartBytes", "rssGrowthBytes", "heapStartBytes", "heapGrowthBytes"] as const),
];

const pushFigures: readonly FigureName[] = ["cds", "eds", "lds", "rds"];

export function formatMachine({ cores, node, commit, load }: Machine): string {
  return (
    `${cores} cores, Node ${node}, commit ${commit}. The machine's load at the beginning: ${load.toFixed(1)}; above 0.5 ` +
    "it is busy with something else, and figures are those of a busy machine."
  );
}

/** A table of one run, with what is particular to a scenario under it. */
export function formatReport(run: Run, titles: ReadonlyMap<string, string>): string {
  const titleOf = ({ scenario }: Row): string => titles.get(scenario) ?? scenario;
  const head = ["scenario", ...mainFigures.map((name) => figureStyles[name].title), "messages (cds/eds/lds/rds)"];
  const lines = run.rows.map((row) => [
    titleOf(row),
    ...mainFigures.map((name) => formatFigure(row.figures, name)),
    formatPushes(row.figures),
  ]);
  const notes = run.rows.flatMap((row) => {
    const said = furtherFigures.filter((name) => (row.figures[name] ?? 0) !== 0 || name === "bytesElsewhere");
    const texts = said.flatMap((name) =>
      row.figures[name] === undefined ? [] : [`${figureStyles[name].title} ${formatFigure(row.figures, name)}`],
    );
    return texts.length === 0 ? [] : [`  ${titleOf(row)}: ${texts.join(", ")}`];
  });
  return [`\n${formatRun(run)}, medians of ${run.rounds}`, formatTable([head, ...lines]), ...notes].join("\n");
}

export function formatPushes(figures: Figures): string {
  if (pushFigures.every((name) => figures[name] === undefined)) return "-";
  return pushFigures.map((name) => formatFigure(figures, name)).join("/");
}

/** The first row is the head; the first column goes to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
