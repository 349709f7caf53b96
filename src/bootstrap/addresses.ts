/** Addresses of hosts that have none of their own, kept in the statuses of their ServiceEntries. */
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { listAddressChanges } from "../snapshot/address-changes.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createAddressWriter } from "../status/address-writer.ts";
import type { Leader } from "./leader.ts";
import type { Runner } from "./runners.ts";

export interface AddressesOptions {
  readonly client: KubeClient;
  readonly leader: Leader;
  readonly clock: Clock;
  readonly log: Log;
  readonly readSnapshot: () => Snapshot;
}

export interface Addresses extends Runner {
  /** The mesh has changed. */
  notify(): void;
}

/** Writes while this process leads. */
export function createAddresses({ client, leader, clock, log, readSnapshot }: AddressesOptions): Addresses {
  const writer = createAddressWriter({
    ...{ client, clock, log, election: leader },
    listWrites: () => listAddressChanges(readSnapshot()),
  });
  return {
    name: "addresses",
    start: async () => writer.start(),
    stop: () => writer.stop(),
    notify: () => writer.notify(),
  };
}
