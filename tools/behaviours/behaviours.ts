/**
 * Runs every behaviour (test/envoy/behaviours) with Envoy and with the companion proxy and prints a table of both. A
 * behaviour that is known to differ (companion-differences.yaml) says so; ends with 1 where anything else failed.
 * TOPICS=cors,gateways picks some.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDifferences } from "../../test/envoy/behaviours/companion-differences.ts";
import { type DataPlane, dataPlanes } from "../../test/envoy/envoy-process.ts";

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
    }[];
  }[];
}

/** What came of one behaviour. */
type Row = Partial<Record<DataPlane, string>>;

const topics = (process.env["TOPICS"] ?? "").split(",").filter((topic) => topic !== "");
const rows = readRows(runAll());
const width = Math.max(...[...rows.keys()].map((name) => name.length));
console.log(`${"behaviour".padEnd(width)}  ${dataPlanes.map((plane) => plane.padEnd(10)).join("")}`);
for (const [name, row] of rows)
  console.log(`${name.padEnd(width)}  ${dataPlanes.map((plane) => (row[plane] ?? "not run").padEnd(10)).join("")}`);
const results = [...rows.values()].flatMap((row) => dataPlanes.map((plane) => row[plane] ?? "not run"));
const count = (what: string): number => results.filter((result) => result === what).length;
const failed = results.length - count("passed") - count("differs");
console.log(`\n${rows.size} behaviours: ${count("passed")} passed, ${count("differs")} differ, ${failed} failed`);
process.exitCode = failed === 0 && rows.size > 0 ? 0 : 1;

function runAll(): Report {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-behaviours-"));
  const file = join(folder, "report.json");
  try {
    const files = topics.length === 0 ? ["test/envoy/behaviours"] : topics.map((topic) => `behaviours/${topic}.test`);
    spawnSync("npx", ["vitest", "run", ...files, "--reporter=json", `--outputFile=${file}`], { stdio: "ignore" });
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readRows({ testResults }: Report): ReadonlyMap<string, Row> {
  const found = new Map<string, Row>();
  for (const { ancestorTitles, title, status } of testResults.flatMap((file) => file.assertionResults)) {
    const [first, topic = ""] = ancestorTitles;
    const plane = dataPlanes.find((each) => each === first);
    if (plane === undefined) continue;
    const isKnown = plane === "companion" && readDifferences(topic).has(title);
    const result = isKnown && status === "passed" ? "differs" : status;
    found.set(`${topic}: ${title}`, { ...found.get(`${topic}: ${title}`), [plane]: result });
  }
  return found;
}
