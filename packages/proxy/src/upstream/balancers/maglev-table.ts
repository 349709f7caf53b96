/** Consistent hashing by Maglev (https://research.google/pubs/pub44824, listing 1), with weights as Envoy has them. */
import { ConfigError } from "../../lib/config-error.ts";
import type { Stats } from "../../lib/stats.ts";
import { xxHash64 } from "../hash/xx-hash.ts";
import { emptyTable, type HashTable, hashKeyOf, type WeightedHost } from "./hash-table.ts";

export interface MaglevOptions {
  /** A prime. */
  readonly tableSize: number;
  readonly usesHostname: boolean;
}

export const defaultTableSize = 65_537;
/** Envoy's limit. */
const maxTableSize = 5_000_011;

/** ConfigError unless it is a prime that Envoy takes. */
export function checkTableSize(size: number): number {
  if (size > maxTableSize) throw new ConfigError("table_size", `is above ${maxTableSize}`);
  if (!isPrime(size)) throw new ConfigError("table_size", "The table size of maglev must be prime number");
  return size;
}

interface Candidate {
  readonly skip: number;
  readonly weight: number;
  /** Where its next turn is looked for. */
  place: number;
  target: number;
  count: number;
}

export function buildMaglevTable(hosts: readonly WeightedHost[], stats: Stats, options: MaglevOptions): HashTable {
  if (hosts.length === 0) return emptyTable;
  const { tableSize, usesHostname } = options;
  const size = BigInt(tableSize);
  // In an order that does not depend on how the hosts were listed.
  const keyed = hosts.map(({ host, weight }) => ({ key: hashKeyOf(host, usesHostname), host, weight }));
  keyed.sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
  const candidates = keyed.map(
    ({ key, weight }): Candidate => ({
      place: Number(xxHash64(key) % size),
      skip: Number(xxHash64(key, 1n) % (size - 1n)) + 1,
      weight,
      target: 0,
      count: 0,
    }),
  );
  const table = fillTable(candidates, tableSize);
  stats
    .gauge("maglev_lb.min_entries_per_host")
    .set(candidates.reduce((min, { count }) => Math.min(min, count), tableSize));
  stats.gauge("maglev_lb.max_entries_per_host").set(candidates.reduce((max, { count }) => Math.max(max, count), 0));
  return {
    find(hash, attempt) {
      const other = attempt === 0 ? hash : hash ^ BigInt.asUintN(64, -BigInt(attempt));
      return keyed[table[Number(other % size)] ?? 0]?.host;
    },
  };
}

/** Candidates take their next free place in turn; one of half the greatest weight passes every second time. */
function fillTable(candidates: readonly Candidate[], size: number): Int32Array {
  const table = new Int32Array(size).fill(-1);
  const greatest = candidates.reduce((max, { weight }) => Math.max(max, weight), 0);
  let filled = 0;
  for (let round = 1; filled < size; round += 1) {
    for (let index = 0; index < candidates.length && filled < size; index += 1) {
      const candidate = candidates[index];
      if (candidate === undefined || round * candidate.weight < candidate.target) continue;
      candidate.target += greatest;
      while (table[candidate.place] !== -1) candidate.place = (candidate.place + candidate.skip) % size;
      table[candidate.place] = index;
      candidate.place = (candidate.place + candidate.skip) % size;
      candidate.count += 1;
      filled += 1;
    }
  }
  return table;
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor += 1) if (number % divisor === 0) return false;
  return true;
}
