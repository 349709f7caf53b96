import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Reporter, TestCase, TestModule, Vitest } from "vitest/node";
import { buildChecklist, type Checklist } from "./checklist.ts";

/** Where the numbers of the checklist have their tests. */
const checklistFolders = ["../protocol", "../security"].map((folder) => join(import.meta.dirname, folder));

/**
 * Prints the last line of a test run, "N passed, N failed": the plain form that a person and a machine can both read.
 * A file that could not even be loaded counts as one failure, and so does an error outside every test. Where protocol
 * tests ran, the table of the checklist comes before it; a number without a test fails the run. What failed, and what
 * did not pass on its first try, is named right above that line: whoever has only the end of a log still has it.
 */
export default class ClosingReporter implements Reporter {
  #isFiltered = false;

  onInit(vitest: Vitest): void {
    this.#isFiltered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const checklist = this.#buildChecklist(modules);
    const count = { passed: 0, failed: checklist.missing.length, skipped: 0 };
    const remarks = checklist.missing.map((item) => `failed: no test for ${item}`);
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const { state } = test.result();
        if (state === "passed" || state === "failed") count[state] += 1;
        else count.skipped += 1;
        remarks.push(...remarkOn(test));
      }
      if (tests.length === 0 || module.errors().length > 0) {
        count.failed += 1;
        remarks.push(`failed: ${module.relativeModuleId}: ${firstLine(module.errors()[0]?.message ?? "no tests")}`);
      }
    }
    if (errors.length > 0) {
      count.failed += 1;
      remarks.push(...errors.map((error) => `failed: outside every test: ${firstLine(messageOf(error))}`));
    }
    if (checklist.missing.length > 0) process.exitCode = 1;
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
    const lines = [...checklist.lines, ...remarks, `${count.passed} passed, ${count.failed} failed${skipped}`];
    // On exit, so that nothing the other reporters print comes after it.
    process.on("exit", () => process.stdout.write(`\n${lines.join("\n")}\n`));
  }

  #buildChecklist(modules: readonly TestModule[]): Checklist {
    const numbered = modules.filter(({ moduleId }) => checklistFolders.includes(dirname(moduleId)));
    const results = numbered.flatMap(({ children }) => {
      return [...children.allTests()].map((test) => ({ title: test.name, state: test.result().state }));
    });
    const ran = new Set(numbered.map(({ moduleId }) => basename(moduleId)));
    const files = checklistFolders.flatMap((folder) => readdirSync(folder)).filter((file) => file.endsWith(".test.ts"));
    return buildChecklist(results, !this.#isFiltered && files.every((file) => ran.has(file)));
  }
}

function remarkOn(test: TestCase): string[] {
  const { state, errors } = test.result();
  const name = `${test.module.relativeModuleId}: ${test.fullName}`;
  if (state === "failed") return [`failed: ${name}: ${firstLine(errors?.[0]?.message ?? "no message")}`];
  const { flaky: isFlaky = false, retryCount = 0 } = test.diagnostic() ?? {};
  if (!isFlaky) return [];
  return [`passed on try ${retryCount + 1} only: ${name}: ${firstLine(errors?.[0]?.message ?? "no message")}`];
}

/** Errors come from workers as plain objects, not all of which can be printed. */
function messageOf(error: unknown): string {
  return typeof error === "object" && error !== null && "message" in error ? `${error.message}` : "no message";
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
