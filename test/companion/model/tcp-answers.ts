/** What a connection of TCP may come to. */
import { targetClusters } from "./changes.ts";
import { listHosts } from "./choose-hosts.ts";
import type { ChainSpec, TcpChain, World } from "./world.ts";

export interface TcpCircumstances {
  readonly worlds: readonly World[];
  readonly chains: ReadonlySet<ChainSpec | undefined>;
}

/** What is wrong with the upstream that said its name; with none, where the connection ended without a word. */
export function judgeGreeting(upstream: string | undefined, { worlds, chains }: TcpCircumstances): string | undefined {
  const allowed = new Set([...chains].flatMap((chain) => worlds.flatMap((world) => [...listOutcomes(world, chain)])));
  if (allowed.has(upstream)) return undefined;
  return `${upstream ?? "nobody"} answered, not ${[...allowed].map((name) => name ?? "nobody").join(" or ")}`;
}

function listOutcomes(world: World, chain: ChainSpec | undefined): ReadonlySet<string | undefined> {
  if (chain?.kind !== "tcp") return new Set([undefined]);
  return new Set(
    usedClusters(chain).flatMap((name) => {
      const cluster = world.clusters.get(name);
      const hosts = cluster === undefined ? [] : [...listHosts(cluster, undefined)];
      if (hosts.length === 0) return [undefined];
      return hosts.map((host) => (world.upstreams.get(host) === "down" ? undefined : host));
    }),
  );
}

function usedClusters({ target }: TcpChain): readonly string[] {
  if (target.kind === "cluster") return targetClusters(target);
  return target.parts.filter(({ weight }) => weight > 0).map(({ cluster }) => cluster);
}
