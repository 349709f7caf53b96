/** What chooses a host of a cluster for a request or a connection. */
import type { Runtime } from "../../config/runtime.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Stats } from "../../lib/stats.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { HostSet } from "../hosts/host-set.ts";
import type { LoadBalancerContext } from "../types.ts";
import type { BalancerStats } from "./balancer-stats.ts";
import type { PriorityChoice } from "./priority-loads.ts";

/** The hosts by priority as they are now; another array after each change, and only then. */
export type HostSource = () => readonly HostSet[];

export interface BalancerContext extends LoadBalancerContext {
  /** The priority that was drawn already, by an aggregate cluster. */
  readonly forced?: PriorityChoice | undefined;
}

export interface Balancer {
  /** Does now what the first choice would wait for, as soon as there are hosts. */
  prepare?(): void;
  choose(context: BalancerContext): ClusterHost | undefined;
}

export interface BalancerEnv {
  readonly clock: Clock;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly runtime: Runtime;
  /** "cluster.NAME." */
  readonly stats: Stats;
  readonly lbStats: BalancerStats;
  /** Requests under way in the whole cluster. */
  readonly activeRequests: () => number;
  /** Hosts of the proxy's own cluster, for zone-aware routing; undefined where there is none. */
  readonly localHosts: () => HostSet | undefined;
}

/** Made once for a configuration; called once for each set of hosts that is balanced on its own. */
export type CreateBalancer = (source: HostSource, env: BalancerEnv) => Balancer;

/** Whether the host is one that an earlier attempt went to, so that another is looked for. */
export function isAvoided(host: ClusterHost, context: LoadBalancerContext): boolean {
  return context.avoid?.has(host) ?? false;
}

/** A whole number of at least 0 and less than `below`. */
export function randomBelow(random: () => number, below: number): number {
  return Math.floor(random() * below);
}
