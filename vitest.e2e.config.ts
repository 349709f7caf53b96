import { defineConfig } from "vitest/config";

/** The tests of `make e2e`: they need the node that tools/e2e makes, and share it, so they run one after the other. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    fileParallelism: false,
    reporters: ["verbose", "./test/support/closing-reporter.ts"],
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
});
