/** What is written into the cluster, as the operator has switched it on: roots, statuses, and addresses in them. */
import type { LiveAuthority } from "../ca/live-authority.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { SnapshotBuilder } from "../snapshot/build.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import { createAddresses } from "./addresses.ts";
import type { Leader } from "./leader.ts";
import { createRootWriters } from "./roots.ts";
import type { Runner } from "./runners.ts";
import { createStatuses } from "./statuses.ts";

export interface WritersOptions {
  readonly flags: Flags;
  readonly client: KubeClient;
  readonly discovery: DiscoveryServer;
  readonly builder: SnapshotBuilder;
  readonly authority: LiveAuthority;
  readonly leader: Leader;
  readonly clock: Clock;
  readonly log: Log;
}

/** A runner that is told when the mesh has changed. */
export interface Writer extends Runner {
  notify(): void;
}

export function createWriters(options: WritersOptions): readonly Writer[] {
  const { flags, builder } = options;
  const readSnapshot = () => builder.current;
  return [
    ...createRootWriters({ ...options, readSnapshot }),
    ...(flags.writeStatus ? [createStatuses(options)] : []),
    ...(flags.writeAddresses ? [createAddresses({ ...options, readSnapshot })] : []),
  ];
}
