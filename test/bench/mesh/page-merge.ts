import { formatSections } from "./page-sections.ts";
import { keyOfRun, type Results, type Run } from "./results.ts";

const [begin, end] = ["<!-- figures: make bench-page -->", "<!-- end of figures -->"];

/** One of several files: the machine is that of the last, and so is a row that several have. */
export function mergeResults(all: readonly Results[]): Results {
  const [last] = all.slice(-1);
  if (last === undefined) throw new Error("there are no results");
  const runs = new Map<string, Run>();
  for (const run of all.flatMap((results) => results.runs)) {
    const before = runs.get(keyOfRun(run))?.rows ?? [];
    const rows = new Map([...before, ...run.rows].map((row) => [row.scenario, row]));
    runs.set(keyOfRun(run), { ...run, rows: [...rows.values()] });
  }
  return { machine: last.machine, runs: [...runs.values()] };
}

/** The page with new figures between its marks. Throws where it has none. */
export function replaceGenerated(page: string, results: Results): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page has no "${begin}" with "${end}" after it`);
  return `${page.slice(0, from)}${begin}\n\n${formatSections(results)}\n\n${page.slice(to)}`;
}
