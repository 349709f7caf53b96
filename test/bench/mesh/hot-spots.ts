/**
 * Where CPU time went, from .cpuprofile files of `--profile`: the functions that cost most by themselves.
 *
 *   node test/bench/mesh/hot-spots.ts FILE... [--top 15]
 */
import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatTable } from "./report.ts";

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { top: { type: "string", default: "15" } },
});
const root = fileURLToPath(new URL("../../..", import.meta.url));
for (const file of positionals) process.stdout.write(`${formatHotSpots(file, Number(values.top))}\n`);

function formatHotSpots(file: string, top: number): string {
  const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
  const self = new Map<number, number>();
  for (const [index, id] of profile.samples.entries()) {
    self.set(id, (self.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0));
  }
  const byPlace = new Map<string, number>();
  for (const { id, callFrame } of profile.nodes) {
    const place = formatPlace(callFrame);
    byPlace.set(place, (byPlace.get(place) ?? 0) + (self.get(id) ?? 0));
  }
  const idle = byPlace.get("(idle)") ?? 0;
  const total = [...byPlace.values()].reduce((sum, micros) => sum + micros, 0) - idle;
  byPlace.delete("(idle)");
  const rows = [...byPlace]
    .sort(([, a], [, b]) => b - a)
    .slice(0, top)
    .map(([place, micros]) => [place, `${(micros / 1000).toFixed(0)} ms`, `${((micros / total) * 100).toFixed(1)} %`]);
  const head = [`${basename(file)}, ${(total / 1e6).toFixed(2)} s not idle`, "self", "share"];
  return `\n${formatTable([head, ...rows])}`;
}

/** "name file:line"; what the engine does itself has its name in brackets. */
function formatPlace({ functionName, url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  if (url === "") return name;
  const path = url.startsWith("file:") ? relative(root, fileURLToPath(url)) : url;
  return `${name} ${path}:${lineNumber + 1}`;
}
