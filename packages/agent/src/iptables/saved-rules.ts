/** What iptables-save prints. */
import type { Table } from "./rule.ts";

/** Rules by table and chain, as iptables-save writes them behind "-A CHAIN "; chains without rules included. */
export type SavedRules = ReadonlyMap<Table, ReadonlyMap<string, readonly string[]>>;

const tables: readonly string[] = ["filter", "mangle", "nat", "raw"] satisfies readonly Table[];

/** Parses the output of iptables-save; tables that we never use are left out. */
export function parseSavedRules(text: string): SavedRules {
  const result = new Map<Table, Map<string, string[]>>();
  let chains: Map<string, string[]> | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      const table = line.slice(1).trim();
      chains = tables.includes(table) ? new Map() : undefined;
      if (chains !== undefined) result.set(table as Table, chains);
    }
    const [, chain, rest] = /^(?:\[\d+:\d+\] )?(?::|-A )(\S+) ?(.*)$/.exec(line) ?? [];
    if (chain === undefined || chains === undefined) continue;
    const rules = chains.get(chain) ?? [];
    chains.set(chain, rules);
    if (!line.startsWith(":")) rules.push(rest ?? "");
  }
  return result;
}
