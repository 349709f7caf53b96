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

const root = resolve(import.meta.dirname, "../..");
/** Large, and never changed here. */
const linked = ["node_modules", ".cache"];
const left = [...linked, ".git", "dist"];
const only = new Set((process.env["ONLY"] ?? "").split(",").filter((id) => id !== ""));
const limitMs = 600_000;

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
  const file = join(copy, mutation.file);
  const whole = readFileSync(file, "utf8");
  const before = runTests(mutation);
  if (before === undefined || before.failed > 0 || before.passed === 0) return "NOT GREEN without the break";
  writeFileSync(file, applyMutation(whole, mutation));
  try {
    const after = runTests(mutation);
    if (after === undefined) return "NOT RUN with the break (does the file still load?)";
    return after.failed > 0 ? undefined : "STILL GREEN with the break";
  } finally {
    writeFileSync(file, whole);
  }
}

/** Undefined where no test could be run. */
function runTests({ id, tests }: Mutation): Outcome | undefined {
  const report = join(copy, "mutation-report.json");
  rmSync(report, { force: true });
  const named = `^${id.replaceAll(/[^\w-]/g, "\\$&")} `;
  const args = ["run", tests, "-t", named, "--retry=0", "--reporter=json", `--outputFile=${report}`];
  spawnSync("vitest", args, { cwd: copy, timeout: limitMs, stdio: "ignore" });
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
    return numPassedTests + numFailedTests === 0 ? undefined : { passed: numPassedTests, failed: numFailedTests };
  } catch {
    return undefined;
  }
}
