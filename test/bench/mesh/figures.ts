/** What is measured, with a name and a unit for each figure: tables, comparisons and the page are made from this list. */
import { formatBytes, formatMs, median } from "../statistics.ts";

export const figureNames = [
  "p50Ms",
  "p99Ms",
  "maxMs",
  "cpuSeconds",
  "clientCpuSeconds",
  "bytes",
  "cds",
  "eds",
  "lds",
  "rds",
  "resources",
  "rssBytes",
  "heapBytes",
  "loopP99Ms",
  "loopMaxMs",
  "connected",
  "readyMs",
  "bytesElsewhere",
  "undisturbedP99Ms",
  "endedStreams",
  "rssGrowthBytes",
  "heapGrowthBytes",
  "rssStartBytes",
  "heapStartBytes",
  "changes",
] as const;
export type FigureName = (typeof figureNames)[number];

/** A figure that could not be taken (or says nothing about the scenario) is not there. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

interface FigureStyle {
  readonly title: string;
  readonly format: (value: number) => string;
}

const count = (value: number): string => Math.round(value).toLocaleString("en");
const seconds = (value: number): string => value.toFixed(2);
/** Tenths where whole milliseconds would say too little. */
const milliseconds = (value: number): string => (value < 10 ? `${value.toFixed(1)} ms` : formatMs(value));
const bytes = (value: number): string =>
  value < 0 ? `-${formatBytes(Math.round(-value))}` : formatBytes(Math.round(value));

export const figureStyles: Readonly<Record<FigureName, FigureStyle>> = {
  p50Ms: { title: "p50", format: milliseconds },
  p99Ms: { title: "p99", format: milliseconds },
  maxMs: { title: "max", format: milliseconds },
  cpuSeconds: { title: "CPU s", format: seconds },
  clientCpuSeconds: { title: "client CPU s", format: seconds },
  bytes: { title: "sent", format: bytes },
  cds: { title: "clusters", format: count },
  eds: { title: "endpoints", format: count },
  lds: { title: "listeners", format: count },
  rds: { title: "routes", format: count },
  resources: { title: "resources", format: count },
  rssBytes: { title: "resident", format: bytes },
  heapBytes: { title: "heap", format: bytes },
  loopP99Ms: { title: "loop p99", format: milliseconds },
  loopMaxMs: { title: "loop max", format: milliseconds },
  connected: { title: "connected", format: count },
  readyMs: { title: "start to ready", format: milliseconds },
  bytesElsewhere: { title: "sent out of scope", format: bytes },
  undisturbedP99Ms: { title: "undisturbed p99", format: milliseconds },
  endedStreams: { title: "ended streams", format: count },
  rssGrowthBytes: { title: "resident grew", format: bytes },
  heapGrowthBytes: { title: "heap grew", format: bytes },
  rssStartBytes: { title: "resident at the beginning", format: bytes },
  heapStartBytes: { title: "heap at the beginning", format: bytes },
  changes: { title: "changes", format: count },
};

/** "-" where there is none. */
export function formatFigure(figures: Figures, name: FigureName): string {
  const value = figures[name];
  return value === undefined ? "-" : figureStyles[name].format(value);
}

/** The median of each figure. */
export function medianFigures(all: readonly Figures[]): Figures {
  const entries = figureNames.flatMap((name) => {
    const values = all.flatMap((figures) => figures[name] ?? []);
    return values.length === 0 ? [] : [[name, median(values)] as const];
  });
  return Object.fromEntries(entries);
}
