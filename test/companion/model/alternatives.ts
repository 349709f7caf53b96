/** All that may come of a request that lived through one configuration or several. */
import type { Expectation } from "./expectation.ts";
import type { History, Span } from "./history.ts";
import { predict } from "./predict.ts";
import { noHealthyUpstream } from "./predict-forward.ts";
import type { ModelRequest } from "./request.ts";
import type { ChainSpec, HttpChain, World } from "./world.ts";

export interface Circumstances {
  readonly history: History;
  readonly request: ModelRequest;
  /** Chains that its connection may belong to; undefined among them where nothing may have listened. */
  readonly chains: ReadonlySet<ChainSpec | undefined>;
  /** Worlds that held between its start and the beginning of its answer. */
  readonly span: Span;
}

export function listAlternatives({ history, request, chains, span }: Circumstances): readonly Expectation[] {
  const worlds = distinguish(history.worlds(span));
  const found = [...chains].flatMap((chain) => {
    if (chain === undefined) return [{ kind: "refused" } as const];
    if (chain.kind === "tcp") throw new Error(`${request.slot} has no HTTP`);
    return worlds.flatMap((_world, index) => predictFrom(request, chain, worlds.slice(index)));
  });
  return worlds.length === 1 ? found : joinTries(found);
}

/** Without those that say the same of requests as the one before. */
function distinguish(worlds: readonly World[]): readonly World[] {
  return worlds.filter((world, index) => {
    const before = worlds[index - 1];
    if (before === undefined) return true;
    const { clusters, upstreams, tables } = before;
    return world.clusters !== clusters || world.upstreams !== upstreams || world.tables !== tables;
  });
}

function predictFrom(request: ModelRequest, chain: HttpChain, worlds: readonly World[]): readonly Expectation[] {
  const [first, ...later] = worlds;
  if (first === undefined) return [];
  const now = predictIn(request, chain, first);
  // A request that waits, or is tried again, has its route already when clusters and hosts change.
  const isLong = now.some((each) => "attempts" in each && (each.leastMs > 0 || each.attempts.most > 1));
  if (!isLong) return now;
  return [
    ...now,
    ...later.flatMap(({ clusters, upstreams }) =>
      listHeld(first.clusters, clusters).flatMap((held) =>
        predictIn(request, chain, { ...first, clusters: held, upstreams }),
      ),
    ),
  ];
}

/** The clusters as they are; and where some have gone, with those: who has begun with one may go on with it. */
function listHeld(former: World["clusters"], now: World["clusters"]): readonly World["clusters"][] {
  const gone = [...former].filter(([name]) => !now.has(name));
  return gone.length === 0 ? [now] : [now, new Map([...now, ...gone])];
}

export function predictIn(request: ModelRequest, chain: HttpChain, world: World): readonly Expectation[] {
  const table = chain.routes.kind === "inline" ? chain.routes.table : world.tables.get(chain.routes.table);
  if (table === undefined) throw new Error(`there is no table for ${chain.serverName}`);
  return predict({ world, chain, table, request });
}

/** Earlier tries of a request may have been under other configurations than the last. */
function joinTries(expectations: readonly Expectation[]): readonly Expectation[] {
  const tried = new Set<string>();
  let most = 0;
  let copies = 0;
  for (const each of expectations) {
    if (!("attempts" in each) || each.attempts.most < 2) continue;
    most = Math.max(most, each.attempts.most);
    copies = Math.max(copies, each.shadows.most);
    for (const host of each.tried) tried.add(host);
    if (each.kind === "forwarded" && each.status === 503) for (const host of each.hosts) tried.add(host);
  }
  return expectations.map((each) => {
    if (!("attempts" in each)) return each;
    // The last try found nobody to ask.
    if (most > 0 && isWithoutHost(each)) {
      return { ...each, tried, attempts: { least: 0, most: most - 1 }, shadows: { least: 0, most: copies } };
    }
    if (each.attempts.most < 2) return each;
    return { ...each, tried, attempts: { ...each.attempts, least: Math.min(1, each.attempts.least) } };
  });
}

function isWithoutHost(expectation: Expectation): boolean {
  return expectation.kind === "local" && expectation.body.text === noHealthyUpstream;
}
