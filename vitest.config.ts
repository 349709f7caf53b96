import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Two cores: tests that start Envoys or many connections must not starve each other.
    maxWorkers: 2,
    reporters: ["default", "./test/support/closing-reporter.ts"],
    include: [
      "src/**/*.test.ts",
      "packages/*/src/**/*.test.ts",
      "packages/*/build/**/*.test.ts",
      "tools/**/*.test.ts",
      "test/**/*.test.ts",
    ],
    // These need a whole Kubernetes node: `make e2e`.
    exclude: ["test/e2e/**", "**/node_modules/**"],
    // Further tries for what real servers and a crowded machine decide between them; the closing reporter names every test
    // that needed it, so that none gets used to it.
    retry: 2,
    // Only what hangs ends this way: a loaded machine takes several times as long for real servers as a quiet one.
    testTimeout: 120_000,
    hookTimeout: 300_000,
  },
});
