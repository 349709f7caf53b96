/**
 * What a proxy is configured with, from the bootstrap and from the sources it names, in Envoy's order: clusters with
 * their endpoints, then listeners with their routes (docs: intro/arch_overview/operations/init).
 */
import type { Bootstrap } from "@meltemi/protos/envoy/config/bootstrap/v3";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ConfigSource } from "@meltemi/protos/envoy/config/core/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { Clock } from "../lib/clock.ts";
import { within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { ListenerManager } from "../listeners/types.ts";
import type { ClusterUpdates } from "../upstream/types.ts";
import { type ConfigSources, fetchTimeoutOf } from "../xds/config-sources.ts";
import { EndpointDiscovery, isByDiscovery } from "../xds/endpoint-discovery.ts";
import { type ResourceType, resourceTypes } from "../xds/resource-types.ts";
import type { Subscription } from "../xds/resource-update.ts";
import { createSubscriptionStats, type SubscriptionStats } from "../xds/subscription-stats.ts";
import { WholeSet } from "../xds/whole-set.ts";

export interface DiscoveryOptions {
  readonly bootstrap: Bootstrap;
  readonly clusters: ClusterUpdates;
  readonly listeners: ListenerManager;
  readonly sources: ConfigSources;
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  readonly hash: (text: string) => number;
}

/** How long the start waits for clusters of the bootstrap, such as for names; listeners begin without the others. */
const primaryWaitMs = 5000;

export class Discovery {
  readonly clusters: WholeSet<Cluster>;
  readonly listeners: WholeSet<Listener>;
  readonly endpoints: EndpointDiscovery;
  readonly #options: DiscoveryOptions;
  readonly #usable = new Map<string, Promise<unknown>>();
  readonly #subscriptions: Subscription[] = [];
  readonly #closed = Promise.withResolvers<void>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    const { clusters, listeners, clock, log } = options;
    this.endpoints = new EndpointDiscovery(options);
    this.clusters = new WholeSet<Cluster>({
      type: resourceTypes.cds,
      stats: this.#countUpdates("cluster_manager.cds"),
      update: (cluster, origin) => {
        this.endpoints.expect(cluster);
        return clusters.update(cluster, origin);
      },
      remove: (name) => clusters.remove(name),
      ...{ clock, log },
    });
    this.listeners = new WholeSet<Listener>({
      type: resourceTypes.lds,
      stats: this.#countUpdates("listener_manager.lds"),
      update: (listener, origin) => listeners.update(listener, origin),
      remove: (name) => listeners.remove(name),
      ...{ clock, log },
    });
  }

  /** Resolves when a cluster of the bootstrap can be used, or cannot; at once for any other. */
  whenUsable(cluster: string): Promise<unknown> {
    return this.#usable.get(cluster) ?? Promise.resolve();
  }

  /** Takes over what the bootstrap has. Rejects with ConfigError; the result resolves when all of it is in use. */
  async begin(): Promise<{ readonly listening: Promise<unknown> }> {
    const { bootstrap } = this.#options;
    const { clusters = [], listeners = [] } = bootstrap.static_resources ?? {};
    const primaries: Promise<void>[] = [];
    const all: Promise<void>[] = [];
    for (const [index, cluster] of clusters.entries()) {
      const name = cluster.name ?? "";
      const done = this.#addStatic(`static_resources.clusters[${index}]`, () => this.clusters.addStatic(name, cluster));
      this.#usable.set(
        name,
        done.catch(() => undefined),
      );
      all.push(done);
      // Endpoints by xDS come when the stream is there, which needs the other clusters first.
      if (!isByDiscovery(cluster)) primaries.push(done);
    }
    // What is wrong with a configuration shows within a turn, also of clusters that are not waited for.
    await Promise.race([Promise.all(all), new Promise((resolve) => setImmediate(resolve))]);
    await this.#waitFor(primaries);
    const waits = listeners.map((listener, index) =>
      this.#addStatic(`static_resources.listeners[${index}]`, () => {
        // Envoy makes up a name, too.
        const name = listener.name || `static-${index}`;
        return this.listeners.addStatic(name, { ...listener, name });
      }),
    );
    return { listening: Promise.all(waits) };
  }

  async #waitFor(primaries: readonly Promise<void>[]): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(primaryWaitMs, () => over.resolve());
    await Promise.race([Promise.all(primaries), this.#closed.promise, over.promise]).finally(() => timer.close());
  }

  /** Subscribes to clusters and waits for them. */
  async discoverClusters(): Promise<void> {
    const { sources, bootstrap } = this.#options;
    const source = bootstrap.dynamic_resources?.cds_config;
    if (source !== undefined) this.#subscribe("cds", source, this.clusters);
    sources.start();
    const all = [source === undefined ? undefined : this.clusters.ready, ...this.#usable.values()];
    await Promise.race([Promise.all(all), this.#closed.promise]);
  }

  /** Subscribes to listeners and waits for them. */
  async discoverListeners(): Promise<void> {
    const source = this.#options.bootstrap.dynamic_resources?.lds_config;
    if (source === undefined) return;
    this.#subscribe("lds", source, this.listeners);
    await Promise.race([this.listeners.ready, this.#closed.promise]);
  }

  close(): void {
    this.#closed.resolve();
    for (const subscription of this.#subscriptions.splice(0)) subscription.close();
    this.endpoints.close();
  }

  /** What fails has the path of its resource, and is thrown to whoever waits for it. */
  async #addStatic(path: string, add: () => Promise<void>): Promise<void> {
    try {
      await add();
    } catch (cause: unknown) {
      within(path, () => {
        throw cause;
      });
    }
  }

  #subscribe<Message>(kind: "cds" | "lds", source: ConfigSource, set: WholeSet<Message>): void {
    const { sources, clock, log } = this.#options;
    const type: ResourceType = resourceTypes[kind];
    const stats = this.#countUpdates(kind === "cds" ? "cluster_manager.cds" : "listener_manager.lds");
    const subscription = within(`dynamic_resources.${kind}_config`, () => sources.subscribe(source, type, set));
    this.#subscriptions.push(subscription);
    subscription.want("*");
    const timeoutMs = fetchTimeoutOf(source);
    if (timeoutMs === undefined) return;
    const timer = clock.after(timeoutMs, () => {
      stats.fetchTimeout();
      log.warn("Nothing came in time; the proxy goes on without", { kind, timeoutMs });
      set.giveUp();
    });
    void Promise.race([set.ready, this.#closed.promise]).then(() => timer.close());
  }

  #countUpdates(scope: string): SubscriptionStats {
    const { stats, hash, clock } = this.#options;
    return createSubscriptionStats(stats.scope(scope), { hash, now: () => clock.now() });
  }
}
