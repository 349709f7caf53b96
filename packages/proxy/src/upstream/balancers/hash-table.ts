/** Tables that give every hash a host: the same host for the same hash as long as the hosts are the same. */
import type { Stats } from "../../lib/stats.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";

export interface WeightedHost {
  readonly host: ClusterHost;
  /** All weights of a table sum up to 1. */
  readonly weight: number;
}

export interface HashTable {
  /** `attempt` counts up from 0 where the host before was not wanted. */
  find(hash: bigint, attempt: number): ClusterHost | undefined;
}

export type BuildHashTable = (hosts: readonly WeightedHost[], stats: Stats) => HashTable;

export const emptyTable: HashTable = { find: () => undefined };

/** What is hashed for a host: hash_key of its metadata, else its name where that is asked for, else its address. */
export function hashKeyOf(host: ClusterHost, usesHostname: boolean): string {
  const balancing = host.metadata["envoy.lb"];
  const key =
    typeof balancing === "object" && balancing !== null && "hash_key" in balancing ? balancing.hash_key : undefined;
  if (typeof key === "string" && key !== "") return key;
  return usesHostname && host.hostname !== "" ? host.hostname : host.address;
}
