/** Inputs of which the companion is known to make something else than Envoy, from a file beside this one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Comparison } from "./verdict.ts";

type Tree = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** How they differ, by name. Throws where a name comes twice, or where one stands under what is not allowed. */
export function readKnownDifferences(file: string, allowed: readonly Comparison[]): ReadonlyMap<string, Comparison> {
  const tree = (parse(readFileSync(join(import.meta.dirname, file), "utf8")) ?? {}) as Tree;
  const known = new Map<string, Comparison>();
  for (const [word, reasons] of Object.entries(tree)) {
    const kind = allowed.find((each) => each === word);
    if (kind === undefined) throw new Error(`${file}: "${word}" is no difference that may be`);
    for (const name of Object.values(reasons).flat()) {
      if (known.has(name)) throw new Error(`${file}: "${name}" comes twice`);
      known.set(name, kind);
    }
  }
  return known;
}
