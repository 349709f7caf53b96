/**
 * Brings the tables of one family to a set of rules. Nothing is touched where they are right. Where they differ, all of a
 * table changes at once: no connection finds half of it.
 */
import type { RunCommand } from "./commands.ts";
import type { IptablesBinary } from "./find-binary.ts";
import { RedirectionError } from "./redirection-settings.ts";
import {
  findOwnTarget,
  formatRestore,
  isOwnChain,
  listOwnChains,
  listRestoreLines,
  type Rule,
  type Table,
} from "./rule.ts";
import { parseSavedRules, type SavedRules } from "./saved-rules.ts";

/** One family's tables and what runs there. */
export interface RuleTarget {
  readonly run: RunCommand;
  readonly binary: IptablesBinary;
  /** What should be in place. */
  readonly rules: readonly Rule[];
}

/** `clean`: nothing of ours is there. `drifted`: something is, and it is not what it should be. */
export type RuleState = "clean" | "equal" | "drifted";

/**
 * Compares what is there with what should be: our chains and the number of their rules, and every rule by
 * `iptables -C`, because a rule does not come back from the kernel in the words that it went in with.
 */
export async function inspectRules(target: RuleTarget): Promise<RuleState> {
  const saved = await readSavedRules(target);
  const present = [...saved].flatMap(([table, chains]) =>
    [...chains].filter(([chain]) => isOwnChain(chain)).map(([chain, rules]) => `${table} ${chain} ${rules.length}`),
  );
  if (present.length === 0) return "clean";
  const expected = [...listOwnChains(target.rules)].flatMap(([table, chains]) =>
    chains.map((chain) => `${table} ${chain} ${countRules(target.rules, table, chain)}`),
  );
  if (present.sort().join() !== expected.sort().join()) return "drifted";
  for (const rule of target.rules) {
    if (!(await isInPlace(target, rule))) return "drifted";
  }
  return "equal";
}

function countRules(rules: readonly Rule[], table: Table, chain: string): number {
  return rules.filter((rule) => rule.table === table && rule.chain === chain).length;
}

/** Sets the rules, in the place of ours that are there; `keepsQuiet` drops all packets while more than one table changes. */
export async function applyRules(target: RuleTarget, keepsQuiet: boolean): Promise<void> {
  const removed = await listRemovals(target);
  const lines = listRestoreLines(target.rules);
  const stale = listStaleChains(await readSavedRules(target), lines);
  const tables = new Set([...removed.keys(), ...lines.keys(), ...stale.keys()]);
  const input = formatRestore(
    new Map(
      [...tables].map((table) => [
        table,
        [...(removed.get(table) ?? []), ...(lines.get(table) ?? []), ...(stale.get(table) ?? [])],
      ]),
    ),
  );
  if (!keepsQuiet) return restore(target, input);
  await restore(target, formatGuard("-I"));
  try {
    await restore(target, input);
  } finally {
    await restore(target, formatGuard("-D"));
  }
}

/** Removes our chains, every jump to them, and the other rules of this set. */
export async function removeRules(target: RuleTarget): Promise<void> {
  const removed = await listRemovals(target);
  const stale = listStaleChains(await readSavedRules(target), new Map());
  const tables = new Set([...removed.keys(), ...stale.keys()]);
  const lines = new Map(
    [...tables].map((table) => [table, [...(removed.get(table) ?? []), ...(stale.get(table) ?? [])]]),
  );
  if (lines.size > 0) await restore(target, formatRestore(lines));
}

async function readSavedRules({ run, binary }: RuleTarget): Promise<SavedRules> {
  const { code, stdout, stderr } = await run(`${binary.name}-save`, []);
  if (code !== 0) throw new RedirectionError(`${binary.name}-save failed: ${stderr.trim()}`);
  return parseSavedRules(stdout);
}

/** Lines that take away what stands in chains that are not ours: jumps to ours, and rules of this set. */
async function listRemovals(target: RuleTarget): Promise<ReadonlyMap<Table, readonly string[]>> {
  const lines = new Map<Table, string[]>();
  const add = (table: Table, line: string): void => void lines.set(table, [...(lines.get(table) ?? []), line]);
  const saved = await readSavedRules(target);
  for (const [table, chains] of saved) {
    for (const [chain, rules] of chains) {
      if (isOwnChain(chain)) continue;
      for (const text of rules) {
        if (findOwnTarget(text.split(" ")) !== undefined) add(table, `-D ${chain} ${text}`);
      }
    }
  }
  for (const rule of target.rules) {
    const isOther = !isOwnChain(rule.chain) && findOwnTarget(rule.words) === undefined;
    if (isOther && (await isInPlace(target, rule))) add(rule.table, `-D ${rule.chain} ${rule.words.join(" ")}`);
  }
  return lines;
}

/** Lines that remove those of our chains that nothing wants any more; all are emptied first, as they name each other. */
function listStaleChains(
  saved: SavedRules,
  wanted: ReadonlyMap<Table, readonly string[]>,
): ReadonlyMap<Table, readonly string[]> {
  const result = new Map<Table, readonly string[]>();
  for (const [table, chains] of saved) {
    const stale = [...chains.keys()].filter(
      (chain) => isOwnChain(chain) && !(wanted.get(table) ?? []).includes(`:${chain} - [0:0]`),
    );
    if (stale.length > 0) {
      result.set(table, [...stale.map((chain) => `-F ${chain}`), ...stale.map((chain) => `-X ${chain}`)]);
    }
  }
  return result;
}

async function isInPlace({ run, binary }: RuleTarget, { table, chain, words }: Rule): Promise<boolean> {
  const { code } = await run(binary.name, ["-t", table, ...binary.lockOptions, "-C", chain, ...words]);
  return code === 0;
}

/** Rules that let no packet through: between two tables a connection could pass by the proxy. */
function formatGuard(command: "-I" | "-D"): string {
  const lines = ["INPUT", "FORWARD", "OUTPUT"].flatMap((chain) =>
    ["tcp", "udp"].map((protocol) => `${command} ${chain} -p ${protocol} -j DROP`),
  );
  return formatRestore(new Map([["filter", lines]]));
}

async function restore({ run, binary }: RuleTarget, input: string): Promise<void> {
  const { code, stderr } = await run(`${binary.name}-restore`, ["--noflush", ...binary.lockOptions], input);
  if (code !== 0) throw new RedirectionError(`${binary.name}-restore failed: ${stderr.trim()}\n${input}`);
}
