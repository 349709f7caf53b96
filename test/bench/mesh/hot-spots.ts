/**
 * Where CPU time went, from .cpuprofile files of `--profile`: the functions that cost most by themselves, and those of our
 * own that cost most with what they call.
 *
 *   node test/bench/mesh/hot-spots.ts FILE... [--top 15]
 */
import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { formatTable } from "./report.ts";

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** Microseconds by place. */
type Times = ReadonlyMap<string, number>;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { top: { type: "string", default: "15" } },
});
const root = fileURLToPath(new URL("../../..", import.meta.url));
for (const file of positionals) process.stdout.write(`${formatHotSpots(file, Number(values.top))}\n`);

function formatHotSpots(file: string, top: number): string {
  const { self, whole } = sumUp(JSON.parse(readFileSync(file, "utf8")) as CpuProfile);
  const idle = self.get("(idle)") ?? 0;
  const total = [...self.values()].reduce((sum, micros) => sum + micros, 0) - idle;
  const list = (times: Times, title: string, isShown: (place: string) => boolean): string => {
    const rows = [...times]
      .filter(([place]) => isShown(place))
      .sort(([, a], [, b]) => b - a)
      .slice(0, top)
      .map(([place, micros]) => [
        place,
        `${(micros / 1000).toFixed(0)} ms`,
        `${((micros / total) * 100).toFixed(1)} %`,
      ]);
    return formatTable([[title, "time", "share"], ...rows]);
  };
  return [
    `\n${basename(file)}, ${(total / 1e6).toFixed(2)} s not idle`,
    list(self, "by itself", (place) => place !== "(idle)"),
    list(whole, "with what it calls", (place) => / (src|packages)\//.test(place)),
  ].join("\n");
}

function sumUp({ nodes, samples, timeDeltas }: CpuProfile): { readonly self: Times; readonly whole: Times } {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const own = new Map<number, number>();
  for (const [index, id] of samples.entries()) own.set(id, (own.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  const self = new Map<string, number>();
  const whole = new Map<string, number>();
  const add = (times: Map<string, number>, place: string, micros: number): void => {
    times.set(place, (times.get(place) ?? 0) + micros);
  };
  // A function that calls itself counts once: only the outermost call of a place is added.
  const visit = (node: ProfileNode, around: ReadonlySet<string>): number => {
    const place = formatPlace(node.callFrame);
    let micros = own.get(node.id) ?? 0;
    add(self, place, micros);
    const inside = around.has(place) ? around : new Set([...around, place]);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) micros += visit(child, inside);
    }
    if (!around.has(place)) add(whole, place, micros);
    return micros;
  };
  const [first] = nodes;
  if (first !== undefined) visit(first, new Set());
  return { self, whole };
}

/** "name file:line"; what the engine does itself has its name in brackets. */
function formatPlace({ functionName, url, lineNumber }: ProfileNode["callFrame"]): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  if (url === "") return name;
  const path = url.startsWith("file:") ? relative(root, fileURLToPath(url)) : url;
  return `${name} ${path}:${lineNumber + 1}`;
}
