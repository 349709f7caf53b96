import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { formatComparison } from "./compare.ts";
import type { Figures } from "./figures.ts";
import { mergeResults, replaceGenerated } from "./page-merge.ts";
import { formatSections } from "./page-sections.ts";
import { formatReport } from "./report.ts";
import { type Results, type Run, readResults } from "./results.ts";

const docs = new URL("../../../docs/", import.meta.url).pathname;
const machine = { cores: 2, memoryBytes: 8e9, node: "24.0.0", commit: "abc", load: 0 };
const size = { proxies: 1000, services: 1000, endpoints: 2, scopes: 200, hosts: 1000, hasWorkloads: false };

function buildRun(rows: Readonly<Record<string, Figures>>, differing: Partial<Run> = {}): Run {
  const listed = Object.entries(rows).map(([scenario, figures]) => ({ scenario, figures }));
  return { source: "memory", variant: "sotw", size, rounds: 1, rows: listed, ...differing };
}

const resultsOf = (...runs: readonly Run[]): Results => ({ machine, runs });

describe("docs/performance.md", () => {
  it("shows what docs/performance.json holds", () => {
    const page = readFileSync(`${docs}performance.md`, "utf8");
    expect(page).toBe(replaceGenerated(page, readResults(`${docs}performance.json`)));
  });

  it("needs its marks", () => {
    expect(() => replaceGenerated("# Performance\n", resultsOf())).toThrow("has no");
  });

  it("says beside a figure what it is meant to stay below", () => {
    const rows = { storm: { maxMs: 7000 }, endpoint: { p50Ms: 140 }, churn: { p50Ms: 1 }, reconnect: { p50Ms: 1 } };
    const text = formatSections(resultsOf(buildRun(rows)));
    expect(text).toContain("7.00 s (≤ 8.00 s)");
    expect(text).toContain("140 ms (≤ 130 ms)");
    expect(formatSections(resultsOf(buildRun(rows, { variant: "delta" })))).not.toContain("≤");
  });

  it("shows three sizes as a series, with a chart", () => {
    const runs = [1000, 250, 500].map((services) =>
      buildRun({ endpoint: { cpuSeconds: services / 1000 } }, { size: { ...size, services } }),
    );
    const text = formatSections(resultsOf(...runs));
    expect(text).toContain("### By the number of services: memory source, 1000 proxies, 2 endpoints each");
    expect(text).toMatch(/x-axis \["250", "500", "1,000"\][\s\S]*line \[0.25, 0.5, 1\]/);
  });
});

describe("mergeResults", () => {
  it("joins runs of one size, the later file's rows over the earlier ones", () => {
    const first = resultsOf(buildRun({ storm: { p50Ms: 1 }, endpoint: { p50Ms: 2 } }));
    const second = resultsOf(buildRun({ endpoint: { p50Ms: 3 } }), buildRun({ storm: {} }, { variant: "delta" }));
    expect(mergeResults([first, second]).runs.map(({ rows }) => rows)).toEqual([
      [
        { scenario: "storm", figures: { p50Ms: 1 } },
        { scenario: "endpoint", figures: { p50Ms: 3 } },
      ],
      [{ scenario: "storm", figures: {} }],
    ]);
  });
});

describe("formatComparison", () => {
  it("sets old beside new, with the ratio", () => {
    const before = resultsOf(buildRun({ endpoint: { p50Ms: 100, cpuSeconds: 0.5 } }));
    const after = resultsOf(buildRun({ endpoint: { p50Ms: 150, cpuSeconds: 0.25 }, storm: { p50Ms: 1 } }));
    const text = formatComparison(before, after);
    expect(text).toMatch(/endpoint\s+100 ms\s+150 ms\s+1\.50/);
    expect(text).toMatch(/0\.50\s+0\.25\s+0\.50/);
    expect(text).not.toContain("storm ");
  });

  it("says where nothing can be compared", () => {
    const other = buildRun({}, { source: "file" });
    expect(formatComparison(resultsOf(other), resultsOf(buildRun({})))).toContain("holds no run of this source");
  });
});

describe("formatReport", () => {
  it("shows a dash for what could not be measured, and always what went to others", () => {
    const text = formatReport(
      buildRun({ scopes: { p50Ms: 5, bytesElsewhere: 0, cds: 0, eds: 2, lds: 0, rds: 0 } }),
      new Map(),
    );
    expect(text).toMatch(/scopes\s+5\.0 ms\s+-/);
    expect(text).toContain("0/2/0/0");
    expect(text).toContain("sent out of scope 0 B");
  });
});
