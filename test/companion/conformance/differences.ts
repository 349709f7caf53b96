/** Cases in which the companion proxy is known to differ from Envoy, with the reasons (docs/proxy.md has them too). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** Names of the known cases that begin so. Throws where one has no reason. */
export function readDifferences(prefix: RegExp): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, "differences.yaml"), "utf8");
  const entries = Object.entries(parse(text) as Readonly<Record<string, unknown>>);
  const empty = entries.find(([, reason]) => typeof reason !== "string" || reason.trim() === "");
  if (empty !== undefined) throw new Error(`differences.yaml: "${empty[0]}" has no reason`);
  return entries.map(([name]) => name).filter((name) => prefix.test(name));
}
