/** The generated part of docs/performance.md. */
import type { FigureName, Figures } from "./figures.ts";
import { figureStyles, formatFigure } from "./figures.ts";
import type { MeshSize } from "./meshes/mesh.ts";
import { formatChart } from "./page-charts.ts";
import {
  formatMarkdownTable,
  formatMemoryCost,
  formatParticulars,
  formatScenarios,
  isMemoryRow,
} from "./page-tables.ts";
import { formatMachine } from "./report.ts";
import { formatRun, type Results, type Run } from "./results.ts";
import { scenarios } from "./scenarios/scenarios.ts";

/** Fewer scenarios make a series of sizes and no table of their own. */
const leastScenarios = 4;
const growthScenarios = ["storm", "endpoint", "virtual-service"];

export function formatSections({ machine, runs }: Results): string {
  const whole = runs.filter(({ rows }) => rows.filter((row) => !isMemoryRow(row)).length >= leastScenarios);
  const memory = runs.filter(({ rows }) => rows.some(isMemoryRow));
  return [
    formatMachine(machine),
    ...whole.flatMap(formatWhole),
    ...memory.flatMap((run) => [`### Memory: ${formatRun(run)}`, formatMemoryCost(run)]),
    ...formatGrowth(runs, "services"),
    ...formatGrowth(runs, "proxies"),
    ...formatOthers(runs.filter((run) => !whole.includes(run))),
  ].join("\n\n");
}

function formatWhole(run: Run): readonly string[] {
  const changes = run.rows.filter(({ figures: { p99Ms } }) => p99Ms !== undefined && p99Ms < 60_000);
  const labels = changes.map(({ scenario }) => scenario);
  const series = (name: FigureName, scale: number): readonly number[] =>
    changes.map(({ figures }) => (figures[name] ?? 0) / scale);
  return [
    `### ${capitalize(formatRun(run))}`,
    `Medians of ${run.rounds}. Messages are those of clusters / endpoints / listeners / routes.`,
    formatScenarios(run, titleOf),
    ...[formatParticulars(run, titleOf)].filter((text) => text !== ""),
    formatChart({
      title: "Latency by scenario: p99 behind, p50 before it",
      ...{ unit: "seconds", kind: "bar", labels },
      series: [series("p99Ms", 1000), series("p50Ms", 1000)],
    }),
    formatChart({
      title: "CPU of the server by scenario",
      ...{ unit: "CPU seconds", kind: "bar", labels },
      series: [series("cpuSeconds", 1)],
    }),
  ];
}

/** Runs that differ in one number of their size, where there are three or more. */
function formatGrowth(runs: readonly Run[], by: "services" | "proxies"): readonly string[] {
  const others = ({ size, source, variant }: Run): string => JSON.stringify([{ ...size, [by]: 0 }, source, variant]);
  const alike = [...Map.groupBy(runs, others).values()].filter((found) => found.length >= 3);
  return alike.flatMap((found) => {
    const ordered = found.toSorted((a, b) => a.size[by] - b.size[by]);
    const [first] = ordered;
    return first === undefined ? [] : formatGrowthOf(ordered, first, by);
  });
}

function formatGrowthOf(runs: readonly Run[], first: Run, by: "services" | "proxies"): readonly string[] {
  const names: readonly FigureName[] = ["p50Ms", "p99Ms", "cpuSeconds", "bytes", "rssBytes"];
  const head = [`scenario, ${by}`, ...names.map((name) => figureStyles[name].title)];
  const rows = growthScenarios.flatMap((scenario) =>
    runs.flatMap(({ rows: found, size }) =>
      found
        .filter((row) => row.scenario === scenario)
        .map(({ figures }) => [
          `${titleOf(scenario)}, ${size[by].toLocaleString("en")}`,
          ...names.map((name) => formatFigure(figures, name)),
        ]),
    ),
  );
  const labels = runs.map(({ size }) => size[by].toLocaleString("en"));
  const series = (scenario: string, name: FigureName, scale: number): readonly number[] =>
    runs.map((run) => (figuresOf(run, scenario)[name] ?? 0) / scale);
  const fixed = by === "services" ? `${first.size.proxies} proxies` : `${first.size.services} services`;
  return [
    `### By the number of ${by}: ${describeRest(first, by)}`,
    formatMarkdownTable([head, ...rows]),
    formatChart({
      title: `CPU of one change by ${by}, at ${fixed}: endpoint and VirtualService`,
      ...{ unit: "CPU seconds", kind: "line", labels },
      series: [series("endpoint", "cpuSeconds", 1), series("virtual-service", "cpuSeconds", 1)],
    }),
    formatChart({
      title: `Resident memory by ${by}, at ${fixed}`,
      ...{ unit: "MB", kind: "line", labels },
      series: [series("storm", "rssBytes", 1e6)],
    }),
  ];
}

function describeRest({ source, variant, size }: Run, by: keyof Pick<MeshSize, "services" | "proxies">): string {
  const other = by === "services" ? `${size.proxies} proxies` : `${size.services} services`;
  const words = variant === "delta" ? "delta" : "state of the world";
  return `${source} source, ${other}, ${size.endpoints} endpoints each, ${words}`;
}

/** Runs of few scenarios that no series has shown. */
function formatOthers(runs: readonly Run[]): readonly string[] {
  const isInSeries = (run: Run, by: "services" | "proxies"): boolean =>
    runs.filter(
      (other) =>
        JSON.stringify([{ ...other.size, [by]: 0 }, other.source, other.variant]) ===
        JSON.stringify([{ ...run.size, [by]: 0 }, run.source, run.variant]),
    ).length >= 2;
  return runs
    .filter((run) => run.rows.some((row) => !isMemoryRow(row)))
    .filter((run) => !isInSeries(run, "services") && !isInSeries(run, "proxies"))
    .flatMap((run) => [`### ${capitalize(formatRun(run))}`, formatScenarios(run, titleOf)]);
}

function figuresOf({ rows }: Run, scenario: string): Figures {
  return rows.find((row) => row.scenario === scenario)?.figures ?? {};
}

function titleOf(scenario: string): string {
  return scenarios.find(({ name }) => name === scenario)?.title ?? scenario;
}

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
