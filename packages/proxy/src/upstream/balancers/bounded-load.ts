/**
 * Consistent hashing with bounded loads (https://arxiv.org/abs/1608.01350, jumps as in https://arxiv.org/abs/1908.08762): a host
 * that has more than its part of the requests passes them on to others, in an order that the hash decides.
 */
import { createMersenneTwister } from "../hash/mersenne-twister.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { HashTable, WeightedHost } from "./hash-table.ts";

export interface BoundedLoadOptions {
  /** Percent of the average load that a host takes at most. */
  readonly balanceFactor: number;
  readonly activeRequests: () => number;
}

export function boundLoad(table: HashTable, hosts: readonly WeightedHost[], options: BoundedLoadOptions): HashTable {
  const weights = new Map(hosts.map(({ host, weight }) => [host, weight]));
  const overload = (host: ClusterHost, weight: number): number => {
    const slots = Math.floor(((options.activeRequests() + 1) * options.balanceFactor + 99) / 100);
    return host.activeRequests / Math.max(1, Math.ceil(slots * weight));
  };
  return {
    find(hash, attempt) {
      const first = table.find(hash, attempt);
      if (first === undefined) return undefined;
      let least = overload(first, weights.get(first) ?? 0);
      if (least <= 1) return first;
      let best = first;
      for (const { host, weight } of shuffled(hosts, hash)) {
        if (host === first) continue;
        const factor = overload(host, weight);
        if (factor <= 1) return host;
        if (factor < least) {
          least = factor;
          best = host;
        }
      }
      return best;
    },
  };
}

/** In an order that is the same for the same seed. */
function* shuffled<Item>(items: readonly Item[], seed: bigint): Generator<Item> {
  const random = createMersenneTwister(Number(BigInt.asUintN(32, seed)));
  const rest = [...items];
  for (let place = 0; place < rest.length; place += 1) {
    const other = place + uniformBelow(random, rest.length - place);
    const chosen = rest[other];
    const here = rest[place];
    if (chosen === undefined || here === undefined) return;
    rest[other] = here;
    yield chosen;
  }
}

function uniformBelow(random: () => number, below: number): number {
  const width = Math.floor(2 ** 32 / below);
  for (;;) {
    const drawn = Math.floor(random() / width);
    if (drawn < below) return drawn;
  }
}
