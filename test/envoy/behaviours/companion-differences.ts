/** Behaviours in which the companion proxy is known to differ from Envoy, with the reasons (docs/proxy.md has them too). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** Reasons by the names of a topic's behaviours. Throws where one has none. */
export function readDifferences(topic: string): ReadonlyMap<string, string> {
  const text = readFileSync(join(import.meta.dirname, "companion-differences.yaml"), "utf8");
  const all = (parse(text) ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  const entries = Object.entries(all[topic] ?? {});
  const empty = entries.find(([, reason]) => typeof reason !== "string" || reason.trim() === "");
  if (empty !== undefined) throw new Error(`companion-differences.yaml: ${topic}: "${empty[0]}" has no reason`);
  return new Map(entries as [string, string][]);
}
