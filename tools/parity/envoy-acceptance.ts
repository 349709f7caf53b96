/**
 * `make envoy-parity`: every case of a reference folder (see parity.ts), given to a real, plain Envoy that names itself as
 * each node of proxies.json does, in both forms of xDS, with the node's version of Istio and without one. Prints what
 * Envoy holds; ends with 1 where it refused anything.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { NodeJson } from "../../test/envoy/isolated-envoy.ts";
import { acceptCase } from "./accept-case.ts";

const folder = resolve(process.env["PARITY_DIR"] ?? resolve(import.meta.dirname, "../../../shared/reference"));
for (const name of ["mesh.yaml", "proxies.json", "cases"]) {
  if (existsSync(join(folder, name))) continue;
  console.error(`${folder} has no ${name}. Name a folder with mesh.yaml, proxies.json and cases/ in PARITY_DIR.`);
  process.exit(2);
}
const picked = (process.env["CASES"] ?? "").split(",").filter((prefix) => prefix !== "");
const cases = readdirSync(join(folder, "cases"))
  .filter((name) => picked.length === 0 || picked.some((prefix) => name.startsWith(prefix)))
  .sort();
const nodes = JSON.parse(readFileSync(join(folder, "proxies.json"), "utf8")) as Readonly<Record<string, NodeJson>>;

const columns = [
  "case",
  "proxy",
  "xDS",
  "Istio",
  "clusters",
  "listeners",
  "routes",
  "endpoints",
  "warming",
  "rejected",
];
const widths = [30, 12, 6, 8, 9, 10, 7, 10, 8, 8];
let refusals = 0;
let checked = 0;
printRow(columns);
for (const name of cases) await checkCase(name);
console.log(`${checked} Envoys, ${refusals} with rejections`);
process.exitCode = refusals > 0 || checked === 0 ? 1 : 0;

async function checkCase(name: string): Promise<void> {
  for await (const row of acceptCase(folder, name, nodes)) {
    const { clusters, listeners, routes, endpoints, warming, rejections } = row;
    const counts = [clusters, listeners, routes, endpoints, warming.length, rejections.length];
    printRow([name, row.proxy, row.variant, row.istioVersion, ...counts.map(String)]);
    for (const rejection of rejections) console.log(`    ${rejection}`);
    checked += 1;
    if (rejections.length > 0) refusals += 1;
  }
}

function printRow(cells: readonly string[]): void {
  console.log(
    cells
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join(" ")
      .trimEnd(),
  );
}
