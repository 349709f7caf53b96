/**
 * All clusters by name. A cluster that changes is made anew beside the one in use, takes its place when it is warm, and only
 * then does the former one end: no request meets a cluster that is not ready.
 */

import { encode } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Runtime } from "../config/runtime.ts";
import type { Clock } from "../lib/clock.ts";
import { within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import { Turns } from "../lib/turns.ts";
import type { SecretProvider } from "../tls/types.ts";
import { panicThresholdOf } from "./balancers/compile-balancer.ts";
import { type ClusterEnv, CompiledCluster } from "./cluster.ts";
import { DnsCaches } from "./dns/dns-cache.ts";
import { compileDnsResolver, type DnsResolverPlan, type DnsResolverWire } from "./dns/dns-config.ts";
import type { HostSet } from "./hosts/host-set.ts";
import type { ClusterUpdates, UpstreamCluster } from "./types.ts";

export interface ClusterManagerEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly secrets: SecretProvider;
  readonly runtime: Runtime;
  /** Its locality says which hosts are near. */
  readonly node: Node;
  /** The bootstrap's fields for DNS (typed_dns_resolver_config and the older ones). */
  readonly dns?: DnsResolverWire | undefined;
  /** cluster_manager.local_cluster_name of the bootstrap, for zone-aware routing. */
  readonly localClusterName?: string | undefined;
}

/** Throws ConfigError where the bootstrap's DNS resolver cannot be used. */
export function createClusterManager(env: ClusterManagerEnv): ClusterUpdates {
  return new Clusters(env);
}

interface Entry {
  readonly cluster: CompiledCluster;
}

interface WarmingEntry extends Entry {
  readonly done: Promise<void>;
  /** Waits no longer. */
  readonly giveUp: () => void;
  isObsolete: boolean;
}

/** Secrets that do not come keep a cluster from being replaced for this long: then it fails handshakes, as Envoy does. */
const warmLimitMs = 15_000;

class Clusters implements ClusterUpdates {
  readonly #env: ClusterManagerEnv;
  readonly #clusterEnv: ClusterEnv;
  readonly #caches: DnsCaches;
  readonly #active = new Map<string, Entry>();
  readonly #warming = new Map<string, WarmingEntry>();
  /** The last of each service, so that a cluster that is made anew need not wait for what the server has sent already. */
  readonly #assignments = new Map<string, ClusterLoadAssignment>();
  /** Replaced or removed, and perhaps still with requests under way. */
  readonly #retired = new Set<CompiledCluster>();
  /** How many clusters, in use or retired, count below a prefix: statistics go with the last. */
  readonly #counted = new Map<string, number>();
  readonly #listeners: (() => void)[] = [];
  /** Clusters in use or on their way there by the service whose endpoints they want: looked up with each change of one. */
  readonly #users = new Map<string, Set<CompiledCluster>>();
  #list: readonly UpstreamCluster[] | undefined;

  constructor(env: ClusterManagerEnv) {
    this.#env = env;
    this.#caches = new DnsCaches(env);
    this.#clusterEnv = this.#buildClusterEnv(compileDnsResolver(env.dns ?? {}));
    this.#count();
  }

  find(name: string): UpstreamCluster | undefined {
    return this.#active.get(name)?.cluster;
  }

  list(): readonly UpstreamCluster[] {
    this.#list ??= [...this.#active.values()].map(({ cluster }) => cluster);
    return this.#list;
  }

  update(wire: Cluster): Promise<void> {
    const name = wire.name ?? "";
    const warming = this.#warming.get(name);
    if (warming !== undefined && isSame(warming.cluster.wire, wire)) return warming.done;
    const active = this.#active.get(name);
    if (active !== undefined && isSame(active.cluster.wire, wire)) {
      // Back to what is in use, before something else was ready.
      if (warming !== undefined) this.#dropWarming(name, warming);
      return Promise.resolve();
    }
    const cluster = new CompiledCluster(wire, this.#clusterEnv);
    if (warming !== undefined) this.#dropWarming(name, warming);
    return this.#warm(name, cluster);
  }

  remove(name: string): void {
    const warming = this.#warming.get(name);
    if (warming !== undefined) this.#dropWarming(name, warming);
    const active = this.#active.get(name);
    if (active !== undefined) {
      this.#active.delete(name);
      this.#retire(active.cluster);
      this.#counter("cluster_removed").inc();
    }
    this.#onChange();
  }

  setEndpoints(serviceName: string, assignment: ClusterLoadAssignment | undefined): void {
    const users = this.#users.get(serviceName);
    for (const cluster of users ?? []) within("", () => cluster.setEndpoints(assignment));
    if (assignment === undefined) this.#assignments.delete(serviceName);
    else if (users !== undefined) this.#assignments.set(serviceName, assignment);
  }

  wantedEndpoints(): readonly string[] {
    return [...this.#users.keys()];
  }

  onWantedEndpoints(run: () => void): void {
    this.#listeners.push(run);
  }

  sweepStats(stats: Pick<StatsRegistry, "forget">): void {
    void this.#sweep(stats);
  }

  async close(): Promise<void> {
    const all = [...this.#active.values(), ...this.#warming.values()];
    for (const [name, warming] of this.#warming) this.#dropWarming(name, warming);
    this.#active.clear();
    this.#list = undefined;
    await Promise.all(all.map(({ cluster }) => cluster.close()));
  }

  #warm(name: string, cluster: CompiledCluster): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const limit = Promise.withResolvers<void>();
    const warming: WarmingEntry = { cluster, done: promise, giveUp: limit.resolve, isObsolete: false };
    this.#warming.set(name, warming);
    this.#counted.set(cluster.statPrefix, (this.#counted.get(cluster.statPrefix) ?? 0) + 1);
    this.#want(cluster);
    const { serviceName } = cluster;
    const known = serviceName === undefined ? undefined : this.#assignments.get(serviceName);
    if (known !== undefined) {
      cluster.stats.counter("assignment_use_cached").inc();
      cluster.setEndpoints(known);
    }
    this.#onChange();
    const hasSecrets = cluster.wire.transport_socket !== undefined;
    const timer = hasSecrets ? this.#env.clock.after(warmLimitMs, limit.resolve) : undefined;
    Promise.race([cluster.warm(), limit.promise])
      .catch((cause: unknown) => {
        this.#env.log.warn("a cluster is used though it could not be made ready", { name, cause: String(cause) });
      })
      .finally(() => {
        timer?.close();
        if (!warming.isObsolete) this.#activate(name, warming);
        resolve();
      })
      .catch((cause: unknown) =>
        this.#env.log.error("a cluster could not be put in place", { name, cause: String(cause) }),
      );
    return promise;
  }

  #activate(name: string, warming: WarmingEntry): void {
    this.#warming.delete(name);
    const former = this.#active.get(name);
    this.#active.set(name, { cluster: warming.cluster });
    if (former !== undefined) this.#retire(former.cluster);
    // Both counted their hosts under one name.
    warming.cluster.showCounts();
    this.#counter(former === undefined ? "cluster_added" : "cluster_modified").inc();
    this.#onChange();
  }

  #dropWarming(name: string, warming: WarmingEntry): void {
    warming.isObsolete = true;
    warming.giveUp();
    this.#warming.delete(name);
    this.#retire(warming.cluster);
    this.#active.get(name)?.cluster.showCounts();
    this.#onChange();
  }

  #retire(cluster: CompiledCluster): void {
    this.#wantNoLonger(cluster);
    cluster.retire();
    this.#retired.add(cluster);
  }

  /** Thousands may go at once. Never rejects. */
  async #sweep(stats: Pick<StatsRegistry, "forget">): Promise<void> {
    const turns = new Turns(this.#env.clock);
    for (const cluster of this.#retired) {
      if (!cluster.isOver) continue;
      const { statPrefix } = cluster;
      this.#retired.delete(cluster);
      const others = (this.#counted.get(statPrefix) ?? 0) - 1;
      if (others > 0) this.#counted.set(statPrefix, others);
      else {
        this.#counted.delete(statPrefix);
        stats.forget([statPrefix], (prefix) => this.#counted.has(prefix));
      }
      if (turns.isOver) await turns.next();
    }
  }

  #onChange(): void {
    this.#list = undefined;
    this.#count();
  }

  #want(cluster: CompiledCluster): void {
    const { serviceName } = cluster;
    if (serviceName === undefined) return;
    const users = this.#users.get(serviceName);
    users?.add(cluster);
    if (users !== undefined) return;
    this.#users.set(serviceName, new Set([cluster]));
    for (const run of this.#listeners) run();
  }

  #wantNoLonger(cluster: CompiledCluster): void {
    const { serviceName } = cluster;
    const users = serviceName === undefined ? undefined : this.#users.get(serviceName);
    if (serviceName === undefined || users?.delete(cluster) !== true || users.size > 0) return;
    this.#users.delete(serviceName);
    this.#assignments.delete(serviceName);
    for (const run of this.#listeners) run();
  }

  #count(): void {
    const { stats } = this.#env;
    stats.gauge("cluster_manager.active_clusters").set(this.#active.size);
    stats.gauge("cluster_manager.warming_clusters").set(this.#warming.size);
  }

  #counter(name: string): ReturnType<Stats["counter"]> {
    return this.#env.stats.counter(`cluster_manager.${name}`);
  }

  #buildClusterEnv(dns: DnsResolverPlan): ClusterEnv {
    const { node, localClusterName } = this.#env;
    const { region = "", zone = "", sub_zone = "" } = node.locality ?? {};
    const localHosts = (): HostSet | undefined =>
      localClusterName ? this.#active.get(localClusterName)?.cluster.sets[0] : undefined;
    return {
      ...this.#env,
      dns,
      home: { region, zone, sub_zone },
      localHosts,
      discovery: {
        caches: this.#caches,
        findMember: (name) => {
          const cluster = this.#active.get(name)?.cluster;
          if (cluster === undefined) return undefined;
          return { cluster, sets: cluster.sets, choose: (context) => cluster.chooseForAggregate(context) };
        },
        panicThreshold: (wire) => panicThresholdOf(wire, this.#env.runtime),
      },
    };
  }
}

/** In the canonical form: another order of fields, or of a map, changes nothing. */
function isSame(one: Cluster, other: Cluster): boolean {
  const name = "envoy.config.cluster.v3.Cluster";
  return Buffer.compare(encode(name, one), encode(name, other)) === 0;
}
