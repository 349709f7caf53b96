/** Rules of iptables as data, and their text for iptables-restore. */

export type Family = "v4" | "v6";
export type Table = "filter" | "mangle" | "nat" | "raw";

export interface Rule {
  readonly table: Table;
  readonly chain: string;
  /** Everything behind the chain's name: matches, `-j`, the target and its options. */
  readonly words: readonly string[];
  /** Goes to the head of the chain; all others go to its end. */
  readonly first?: true;
}

/** Our chains begin with it, as Istio's do: a node agent or a debugging human looks for these names. */
export const ownChainPrefix = "ISTIO_";

export function isOwnChain(chain: string): boolean {
  return chain.startsWith(ownChainPrefix);
}

/** The chain that a rule jumps to, where it is one of ours. */
export function findOwnTarget(words: readonly string[]): string | undefined {
  const jump = words.findIndex((word) => word === "-j" || word === "--jump");
  const target = jump === -1 ? undefined : words[jump + 1];
  return target !== undefined && isOwnChain(target) ? target : undefined;
}

/** Names of our chains by table, those that are only jumped to included, in the order of their first mention. */
export function listOwnChains(rules: readonly Rule[]): ReadonlyMap<Table, readonly string[]> {
  const chains = new Map<Table, Set<string>>();
  for (const { table, chain, words } of rules) {
    const known = chains.get(table) ?? new Set();
    chains.set(table, known);
    if (isOwnChain(chain)) known.add(chain);
    const target = findOwnTarget(words);
    if (target !== undefined) known.add(target);
  }
  return new Map([...chains].map(([table, names]) => [table, [...names]]));
}

/** One line for iptables-restore. */
export function formatRule({ chain, words, first }: Rule): string {
  return [...(first === true ? ["-I", chain, "1"] : ["-A", chain]), ...words].join(" ");
}

const tableOrder: readonly Table[] = ["filter", "mangle", "nat", "raw"];

/** Lines by table as the input of `iptables-restore --noflush`; each table changes at once or not at all. */
export function formatRestore(linesByTable: ReadonlyMap<Table, readonly string[]>): string {
  return tableOrder
    .flatMap((table) => {
      const lines = linesByTable.get(table) ?? [];
      return lines.length === 0 ? [] : [`*${table}`, ...lines, "COMMIT"];
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** The rules in the form that iptables-restore reads: chains first, which it makes, or empties where they are there. */
export function formatRules(rules: readonly Rule[]): string {
  return formatRestore(listRestoreLines(rules));
}

export function listRestoreLines(rules: readonly Rule[]): ReadonlyMap<Table, readonly string[]> {
  return new Map(
    [...listOwnChains(rules)].map(([table, chains]) => [
      table,
      [...chains.map((chain) => `:${chain} - [0:0]`), ...rules.filter((rule) => rule.table === table).map(formatRule)],
    ]),
  );
}
