/** `make bench`: a control plane under many simulated proxies. `--help` says everything. */
import { mkdirSync, writeFileSync } from "node:fs";
import { formatComparison } from "./compare.ts";
import { measureMemoryCost, memoryRows } from "./memory-cost.ts";
import { type BenchOptions, helpText, memoryName, parseOptions } from "./options.ts";
import { formatMachine, formatReport } from "./report.ts";
import { type Results, type Row, type Run, readMachine, readResults } from "./results.ts";
import { type RunOptions, runScenarios } from "./run-scenarios.ts";
import { scenarios } from "./scenarios/scenarios.ts";

const titles = new Map<string, string>([
  ...scenarios.map(({ name, title }) => [name, title] as const),
  ...memoryRows.map((name) => [name, name] as const),
]);
const startedMs = performance.now();
const say = (text: string): boolean => process.stdout.write(`${text}\n`);
const progress = (text: string): void => {
  process.stderr.write(`[${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s] ${text}\n`);
};

// The processes that it has started end with it, each by itself.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const options = readOptions();
if (options !== undefined) await bench(options);

function readOptions(): BenchOptions | undefined {
  try {
    const parsed = parseOptions(process.argv.slice(2));
    if (parsed === undefined) say(helpText);
    return parsed;
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
    process.exitCode = 2;
    return undefined;
  }
}

async function bench({ variants, sizes, json, compare, ...rest }: BenchOptions): Promise<void> {
  // Read first: a name that is wrong must not show after half an hour.
  const before = compare === undefined ? undefined : readResults(compare);
  if (rest.profileDir !== undefined) mkdirSync(rest.profileDir, { recursive: true });
  const machine = readMachine();
  say(formatMachine(machine));
  const runs: Run[] = [];
  for (const size of sizes) {
    for (const variant of variants) {
      const { server, rounds, pace, profileDir, only } = rest;
      const shared = { server, variant, size, pace, rounds, progress };
      const profiled = profileDir === undefined ? shared : { ...shared, profileDir };
      const run = { source: server.source, variant, size, rounds, rows: await runPicked(profiled, only) };
      runs.push(run);
      say(formatReport(run, titles));
    }
  }
  const results: Results = { machine, runs };
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(results, roundNumbers, 1)}\n`);
  if (before !== undefined) say(formatComparison(before, results));
}

async function runPicked(options: Omit<RunOptions, "scenarios">, only: readonly string[]): Promise<readonly Row[]> {
  const picked = scenarios.filter(({ name }) => only.includes(name));
  const rows = picked.length === 0 ? [] : await runScenarios({ ...options, scenarios: picked });
  return only.includes(memoryName) ? [...rows, ...(await measureMemoryCost(options))] : rows;
}

/** Nobody needs more than thousandths. */
function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
}
