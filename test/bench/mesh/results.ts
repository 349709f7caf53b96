/** What a run of the bench leaves behind, as JSON. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, loadavg, totalmem } from "node:os";
import type { Figures } from "./figures.ts";
import type { MeshSize } from "./meshes/mesh.ts";
import type { Variant } from "./proxies/types.ts";

export interface Results {
  readonly machine: Machine;
  readonly runs: readonly Run[];
}

export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly commit: string;
  /** Processes that wanted a core when the bench began; above 0.5 the figures are those of a busy machine. */
  readonly load: number;
}

/** One size of mesh over one source. */
export interface Run {
  readonly source: string;
  readonly variant: Variant;
  readonly size: MeshSize;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly scenario: string;
  readonly figures: Figures;
}

export function readMachine(): Machine {
  const [load = 0] = loadavg();
  return {
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.versions.node,
    commit: execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      encoding: "utf8",
      cwd: import.meta.dirname,
    }).trim(),
    load: Math.round(load * 10) / 10,
  };
}

/** Throws where the file holds something else. */
export function readResults(file: string): Results {
  const results = JSON.parse(readFileSync(file, "utf8")) as Partial<Results>;
  if (results.machine === undefined || !Array.isArray(results.runs)) throw new Error(`${file} holds no results`);
  return results as Results;
}

/** "memory, 1000 proxies, 1000 services x 2, state of the world". */
export function formatRun({ source, variant, size }: Run): string {
  const words = variant === "delta" ? "delta" : "state of the world";
  const beside = size.hasWorkloads ? ", proxies beside endpoints" : "";
  return `${source} source, ${size.proxies} proxies, ${size.services} services x ${size.endpoints} endpoints, ${words}${beside}`;
}

/** The same for runs that can be compared. */
export function keyOfRun({ source, variant, size }: Run): string {
  return JSON.stringify([source, variant, size.proxies, size.services, size.endpoints, size.hasWorkloads]);
}
