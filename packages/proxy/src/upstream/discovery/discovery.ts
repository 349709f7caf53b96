/** Where the hosts of a cluster come from: its type. */

import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Stats } from "../../lib/stats.ts";
import type { BalancerContext } from "../balancers/balancer.ts";
import type { DnsResolverPlan } from "../dns/dns-config.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { DropOverload } from "../hosts/drop-overload.ts";
import type { Members } from "../hosts/members.ts";
import type { UpstreamCluster } from "../types.ts";

export interface Discovery {
  /** Resolves when it has found hosts first, or knows that there are none. */
  readonly ready: Promise<void>;
  readonly dropOverloads: readonly DropOverload[];
  /** Where the type chooses itself (CLUSTER_PROVIDED): undefined where it has no host for that. Throws UpstreamError. */
  readonly choose?: (context: BalancerContext) => ClusterHost | undefined | Promise<ClusterHost | undefined>;
  /** Looks up what `choose` needs for a request; undefined where that is known. Throws UpstreamError, or rejects with it. */
  readonly resolve?: (context: BalancerContext) => Promise<unknown> | undefined;
  /** The cluster that a host is of, where the type has none of its own. */
  readonly ownerOf?: (host: ClusterHost) => UpstreamCluster | undefined;
  /** The service whose endpoints it wants, for EDS. */
  readonly serviceName?: string;
  /** Takes endpoints; undefined: there are none. Throws ConfigError, and keeps what it has. */
  readonly setEndpoints?: (assignment: ClusterLoadAssignment | undefined) => void;
  close(): void;
}

export interface DiscoveryParts {
  readonly cluster: Cluster;
  readonly members: Members;
  readonly stats: Stats;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly dns: DnsResolverPlan;
}

/** Checks configuration and throws ConfigError; what it gives starts the work. */
export type CompileDiscovery = (cluster: Cluster) => (parts: DiscoveryParts) => Discovery;
