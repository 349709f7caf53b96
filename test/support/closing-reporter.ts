import type { Reporter, TestModule } from "vitest/node";

/**
 * Prints the last line of a test run, "N passed, N failed": the plain form that a person and a machine can both read.
 * A file that could not even be loaded counts as one failure, and so does an error outside every test.
 */
export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const { state } = test.result();
        if (state === "passed" || state === "failed") count[state] += 1;
        else count.skipped += 1;
      }
      if (tests.length === 0 || module.errors().length > 0) count.failed += 1;
    }
    if (errors.length > 0) count.failed += 1;
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
    // On exit, so that nothing the other reporters print comes after it.
    process.on("exit", () => process.stdout.write(`\n${count.passed} passed, ${count.failed} failed${skipped}\n`));
  }
}
