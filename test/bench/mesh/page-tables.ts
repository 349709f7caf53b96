/** Tables of Markdown from runs, with what a figure is meant to stay below beside it. */
import { type FigureName, figureStyles, formatFigure } from "./figures.ts";
import { findLimit } from "./limits.ts";
import { memoryRows } from "./memory-cost.ts";
import { formatPushes } from "./report.ts";
import type { Row, Run } from "./results.ts";

const columns: readonly FigureName[] = [
  ...(["p50Ms", "p99Ms", "maxMs", "cpuSeconds", "bytes", "rssBytes", "loopMaxMs"] as const),
];

export function isMemoryRow({ scenario }: Row): boolean {
  return memoryRows.some((name) => name === scenario);
}

/** The scenarios of a run. */
export function formatScenarios(run: Run, titleOf: (scenario: string) => string): string {
  const head = ["scenario", ...columns.map((name) => figureStyles[name].title), "messages"];
  const rows = run.rows
    .filter((row) => !isMemoryRow(row))
    .map((row) => [
      titleOf(row.scenario),
      ...columns.map((name) => formatLimited(run, row, name)),
      formatPushes(row.figures),
    ]);
  return formatMarkdownTable([head, ...rows]);
}

const particulars: Readonly<Record<string, readonly FigureName[]>> = {
  storm: ["heapBytes", "clientCpuSeconds", "readyMs"],
  churn: ["changes", "rssStartBytes", "rssGrowthBytes", "heapStartBytes", "heapGrowthBytes"],
  "slow-readers": ["undisturbedP99Ms", "p99Ms", "rssGrowthBytes", "heapGrowthBytes", "endedStreams", "connected"],
  scopes: ["bytes", "bytesElsewhere"],
  "scopes-route": ["bytes", "bytesElsewhere"],
};

/** A line for each scenario that has more to say; "" where none has. */
export function formatParticulars(run: Run, titleOf: (scenario: string) => string): string {
  return run.rows
    .flatMap((row) => {
      const names = (particulars[row.scenario] ?? []).filter((name) => row.figures[name] !== undefined);
      const said = names.map((name) => `${figureStyles[name].title} ${formatLimited(run, row, name)}`);
      return said.length === 0 ? [] : [`- ${titleOf(row.scenario)}: ${said.join(", ")}`];
    })
    .join("\n");
}

/** What one more proxy, service and endpoint cost. */
export function formatMemoryCost(run: Run): string {
  const names: readonly FigureName[] = ["rssBytes", "heapBytes"];
  const rows = run.rows
    .filter(isMemoryRow)
    .map((row) => [row.scenario, ...names.map((name) => formatLimited(run, row, name))]);
  return formatMarkdownTable([["", ...names.map((name) => figureStyles[name].title)], ...rows]);
}

function formatLimited(run: Run, row: Row, name: FigureName): string {
  const { figures } = row;
  const limit = findLimit(run, row, name);
  const text = formatFigure(figures, name);
  return limit === undefined || figures[name] === undefined ? text : `${text} (≤ ${figureStyles[name].format(limit)})`;
}

/** The first column goes to the left, the others to the right. */
export function formatMarkdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const format = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [format(head), format(rule), ...rows.map(format)].join("\n");
}
