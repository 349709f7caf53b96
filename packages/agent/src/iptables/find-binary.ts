/**
 * Which iptables to use. A network namespace can hold rules of two kinds, of the old kernel interface (legacy) and of
 * nf_tables; both are in force, so ours must go where rules are already.
 */
import type { RunCommand } from "./commands.ts";
import { RedirectionError } from "./redirection-settings.ts";
import { type Family, isOwnChain } from "./rule.ts";
import { parseSavedRules } from "./saved-rules.ts";

export interface IptablesBinary {
  /** "iptables-nft", "ip6tables-legacy" and so on; with "-save" and "-restore" its companions. */
  readonly name: string;
  /** Options that make it wait for the lock of the tables; nf_tables has none. */
  readonly lockOptions: readonly string[];
}

interface Candidate extends IptablesBinary {
  readonly hasRules: boolean;
  readonly hasOwnChains: boolean;
}

/**
 * Finds the program for one family: where our chains are; else legacy, where it has any rule; else nf_tables; else
 * legacy; else the plain name. Rejects with RedirectionError where none works, or `forced` ("legacy", "nft") does not.
 */
export async function findIptables(
  run: RunCommand,
  family: Family,
  forced: "" | "legacy" | "nft",
): Promise<IptablesBinary> {
  const plain = family === "v4" ? "iptables" : "ip6tables";
  const names = forced === "" ? [`${plain}-nft`, `${plain}-legacy`, plain] : [`${plain}-${forced}`];
  const problems: string[] = [];
  const candidates: Candidate[] = [];
  for (const name of names) {
    const found = await inspectBinary(run, name);
    if ("problem" in found) problems.push(`${name}: ${found.problem}`);
    else candidates.push(found);
  }
  for (const candidate of orderCandidates(candidates)) {
    const problem = await findKernelProblem(run, candidate);
    if (problem === undefined) return candidate;
    problems.push(`${candidate.name}: ${problem}`);
  }
  throw new RedirectionError(`no ${plain} that works here:\n  ${problems.join("\n  ")}`);
}

function orderCandidates(candidates: readonly Candidate[]): readonly Candidate[] {
  const rank = ({ name, hasRules, hasOwnChains }: Candidate): number => {
    if (hasOwnChains) return 0;
    return name.endsWith("-legacy") && hasRules ? 1 : 2;
  };
  // Stable: equal ranks keep the order of preference.
  return [...candidates].sort((a, b) => rank(a) - rank(b));
}

async function inspectBinary(run: RunCommand, name: string): Promise<Candidate | { readonly problem: string }> {
  const version = await run(name, ["--version"]);
  const saved = await run(`${name}-save`, []);
  if (version.code !== 0) return { problem: version.stderr.trim() };
  if (saved.code !== 0) return { problem: saved.stderr.trim() };
  const chains = [...parseSavedRules(saved.stdout).values()].flatMap((table) => [...table]);
  return {
    name,
    lockOptions: version.stdout.includes("nf_tables") ? [] : ["--wait=30"],
    // Tables without rules count for nothing: looking at them is enough to make them appear.
    hasRules: chains.some(([, rules]) => rules.length > 0),
    hasOwnChains: chains.some(([chain]) => isOwnChain(chain)),
  };
}

/** A program can be there for a kernel interface that is not; asking for a table tells. */
async function findKernelProblem(run: RunCommand, binary: IptablesBinary): Promise<string | undefined> {
  const { code, stderr } = await run(binary.name, ["-t", "nat", "-S", "OUTPUT", ...binary.lockOptions]);
  return code === 0 ? undefined : stderr.trim();
}
