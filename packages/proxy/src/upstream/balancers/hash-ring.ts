/** Consistent hashing by a ring of hashes (ketama): every host has places on it by its weight, a hash takes the next place. */
import type { Stats } from "../../lib/stats.ts";
import { murmurHash2 } from "../hash/murmur-hash.ts";
import { xxHash64 } from "../hash/xx-hash.ts";
import { emptyTable, type HashTable, hashKeyOf, type WeightedHost } from "./hash-table.ts";

export interface HashRingOptions {
  readonly hashFunction: "XX_HASH" | "MURMUR_HASH_2";
  readonly minSize: number;
  readonly maxSize: number;
  readonly usesHostname: boolean;
}

/** The same ring as Envoy's: the n-th place of a host is the hash of "KEY_n". */
export function buildHashRing(hosts: readonly WeightedHost[], stats: Stats, options: HashRingOptions): HashTable {
  if (hosts.length === 0) return emptyTable;
  const least = hosts.reduce((min, { weight }) => Math.min(min, weight), 1);
  // The lightest host gets a whole number of places.
  const scale = Math.min(Math.ceil(least * options.minSize) / least, options.maxSize);
  const { hashes, owners } = placeHosts(hosts, scale, options);
  countPlaces(hosts.length, owners, stats, Math.ceil(scale));
  const order = Array.from(owners, (_, place) => place).sort((one, other) => {
    const left = hashes[one] ?? 0n;
    const right = hashes[other] ?? 0n;
    if (left === right) return one - other;
    return left < right ? -1 : 1;
  });
  const sortedHashes = BigUint64Array.from(order, (place) => hashes[place] ?? 0n);
  const sortedOwners = Uint32Array.from(order, (place) => owners[place] ?? 0);
  return {
    find(hash, attempt) {
      const place = (findPlace(sortedHashes, hash) + attempt) % sortedHashes.length;
      return hosts[sortedOwners[place] ?? 0]?.host;
    },
  };
}

function placeHosts(
  hosts: readonly WeightedHost[],
  scale: number,
  { hashFunction, usesHostname }: HashRingOptions,
): { readonly hashes: readonly bigint[]; readonly owners: readonly number[] } {
  const hash = hashFunction === "MURMUR_HASH_2" ? murmurHash2 : xxHash64;
  const hashes: bigint[] = [];
  const owners: number[] = [];
  let target = 0;
  hosts.forEach(({ host, weight }, owner) => {
    const key = hashKeyOf(host, usesHostname);
    target += scale * weight;
    // Sums run over all hosts, as parts of places would else be lost for each.
    for (let count = 0; hashes.length < target; count += 1) {
      hashes.push(hash(`${key}_${count}`));
      owners.push(owner);
    }
  });
  return { hashes, owners };
}

function countPlaces(hostCount: number, owners: readonly number[], stats: Stats, size: number): void {
  const counts = new Array<number>(hostCount).fill(0);
  for (const owner of owners) counts[owner] = (counts[owner] ?? 0) + 1;
  stats.gauge("ring_hash_lb.size").set(size);
  stats.gauge("ring_hash_lb.min_hashes_per_host").set(counts.reduce((min, count) => Math.min(min, count), size));
  stats.gauge("ring_hash_lb.max_hashes_per_host").set(counts.reduce((max, count) => Math.max(max, count), 0));
}

/** The first place whose hash is not below; the first of all where none is. */
function findPlace(hashes: BigUint64Array, hash: bigint): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((hashes[middle] ?? 0n) < hash) low = middle + 1;
    else high = middle;
  }
  return low === hashes.length ? 0 : low;
}
