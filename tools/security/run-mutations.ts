/**
 * `make security-mutations`: breaks each security check in a copy of the tree and shows that its tests turn red (docs/
 * security-tests.md). ONLY=CA-7,F-10 picks some. Ends with 1 where tests stay green, or are not green before.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { applyMutation, type Mutation, readMutations } from "./mutations.ts";

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

interface TestResult {
  readonly title: string;
  readonly status: string;
}

/** What vitest's reporter for JSON writes, as far as it is read here. */
interface JsonReport {
  readonly testResults: readonly { readonly assertionResults: readonly TestResult[] }[];
}

const root = resolve(import.meta.dirname, "../..");
/** Large, and never changed here. */
const linked = ["node_modules", ".cache"];
const left = [...linked, ".git", "dist"];
const only = new Set((process.env["ONLY"] ?? "").split(",").filter((id) => id !== ""));
const limitMs = 600_000;
/** Many tests wait for a refusal, which does not come where the check is gone. */
const brokenLimitMs = 30_000;
const wholeRuns = new Map<string, readonly TestResult[] | undefined>();

const mutations = readMutations(root).filter(({ id }) => only.size === 0 || only.has(id));
if (mutations.length === 0) throw new Error("no such check");
const copy = mkdtempSync(join(tmpdir(), "meltemi-mutations-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
cpSync(root, copy, { recursive: true, filter: (path) => !left.includes(relative(root, path)) });
for (const folder of linked) symlinkSync(join(root, folder), join(copy, folder));

const bad: string[] = [];
for (const mutation of mutations) {
  const problem = judge(mutation);
  console.log(`${mutation.id} ${mutation.file}: ${problem ?? "red, as it must be"}`);
  if (problem !== undefined) bad.push(mutation.id);
}
console.log(`${mutations.length - bad.length} of ${mutations.length} broken checks were noticed`);
process.exit(bad.length === 0 ? 0 : 1);

/** Undefined where the tests are green without the break and red with it. */
function judge(mutation: Mutation): string | undefined {
  const { id, tests } = mutation;
  const before = count(findWhole(tests), id);
  if (before === undefined || before.failed > 0 || before.passed === 0) return "NOT GREEN without the break";
  const file = join(copy, mutation.file);
  const whole = readFileSync(file, "utf8");
  writeFileSync(file, applyMutation(whole, mutation));
  try {
    const named = `^${id.replaceAll(/[^\w-]/g, "\\$&")} `;
    const after = count(runTests(tests, ["-t", named, `--testTimeout=${brokenLimitMs}`]), id);
    if (after === undefined) return "NOT RUN with the break (does the file still load?)";
    return after.failed > 0 ? undefined : "STILL GREEN with the break";
  } finally {
    writeFileSync(file, whole);
  }
}

/** The results of a whole file without any break; it is run once. */
function findWhole(tests: string): readonly TestResult[] | undefined {
  if (!wholeRuns.has(tests)) wholeRuns.set(tests, runTests(tests, []));
  return wholeRuns.get(tests);
}

/** Undefined where no test of that number was run. */
function count(results: readonly TestResult[] | undefined, id: string): Outcome | undefined {
  const numbered = results?.filter(({ title }) => title.startsWith(`${id} `)) ?? [];
  const passed = numbered.filter(({ status }) => status === "passed").length;
  const failed = numbered.filter(({ status }) => status === "failed").length;
  return passed + failed === 0 ? undefined : { passed, failed };
}

/** Undefined where the file could not be run. */
function runTests(tests: string, selection: readonly string[]): readonly TestResult[] | undefined {
  const report = join(copy, "mutation-report.json");
  rmSync(report, { force: true });
  const args = ["run", tests, ...selection, "--retry=0", "--reporter=json", `--outputFile=${report}`];
  spawnSync("vitest", args, { cwd: copy, timeout: limitMs, stdio: "ignore" });
  try {
    const { testResults } = JSON.parse(readFileSync(report, "utf8")) as JsonReport;
    return testResults.flatMap(({ assertionResults }) => assertionResults);
  } catch {
    return undefined;
  }
}
