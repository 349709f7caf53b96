/**
 * Puts the figures of bench files into docs/performance.md, between its marks, and keeps them in docs/performance.json.
 *
 *   node test/bench/mesh/page.ts FILE...
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mergeResults, replaceGenerated } from "./page-merge.ts";
import { readResults } from "./results.ts";

const files = process.argv.slice(2);
if (files.length === 0) throw new Error("name one file of the bench or more");
const [page, kept] = ["performance.md", "performance.json"].map((name) =>
  fileURLToPath(new URL(`../../../docs/${name}`, import.meta.url)),
) as [string, string];
const results = mergeResults(files.map(readResults));
writeFileSync(kept, `${JSON.stringify(results)}\n`);
writeFileSync(page, replaceGenerated(readFileSync(page, "utf8"), results));
process.stdout.write(`${results.runs.length} runs are in docs/performance.md\n`);
