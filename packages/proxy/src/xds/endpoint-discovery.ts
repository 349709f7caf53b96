/** Load assignments (EDS) for whatever clusters want them. */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ConfigSource } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { DumpedResource } from "../admin/types.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import type { ClusterUpdates } from "../upstream/types.ts";
import { type ConfigSources, keyOfSource } from "./config-sources.ts";
import { resourceTypes } from "./resource-types.ts";
import { decodeResource, type ResourceHandler, type ResourceUpdate, type Subscription } from "./resource-update.ts";
import type { Rejection } from "./subscription-state.ts";

export interface EndpointDiscoveryOptions {
  readonly clusters: Pick<ClusterUpdates, "setEndpoints" | "wantedEndpoints" | "onWantedEndpoints">;
  readonly sources: Pick<ConfigSources, "subscribe">;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly hash: (text: string) => number;
}

/** Where a service's endpoints come from, as its cluster says. */
interface Origin {
  readonly key: string;
  /** "cluster.NAME.", of which the cluster counts its updates itself. */
  readonly stats: Stats;
}

interface Group {
  readonly subscription: Subscription;
  wanted: ReadonlySet<string>;
}

export class EndpointDiscovery {
  readonly #options: EndpointDiscoveryOptions;
  readonly #origins = new Map<string, Origin>();
  readonly #groups = new Map<string, Group>();
  readonly #assignments = new Map<string, DumpedResource<ClusterLoadAssignment>>();
  #isDue = false;
  #isClosed = false;

  constructor(options: EndpointDiscoveryOptions) {
    this.#options = options;
    options.clusters.onWantedEndpoints(() => this.#refresh());
  }

  /** To be told of each cluster before it is taken over. ConfigError where its endpoints cannot be had. */
  expect(cluster: Cluster): void {
    if (!isByDiscovery(cluster)) return;
    const { name = "", alt_stat_name: altName = "", eds_cluster_config: eds } = cluster;
    if (eds === undefined) {
      throw new ConfigError("eds_cluster_config", "cannot create an EDS cluster without an EDS config");
    }
    const serviceName = eds.service_name || name;
    const source = within("eds_cluster_config", () => need("eds_config", eds.eds_config));
    const key = keyOfSource(source, serviceName);
    within("eds_cluster_config.eds_config", () => this.#openGroup(key, source));
    const stats = this.#options.stats.scope(`cluster.${altName || name}`);
    this.#origins.set(serviceName, { key, stats });
    this.#refresh();
  }

  dump(): readonly DumpedResource<ClusterLoadAssignment>[] {
    return [...this.#assignments.values()];
  }

  close(): void {
    this.#isClosed = true;
    for (const { subscription } of this.#groups.values()) subscription.close();
    this.#groups.clear();
  }

  #openGroup(key: string, source: ConfigSource | undefined): void {
    if (this.#groups.has(key)) return;
    const handler: ResourceHandler = {
      apply: (update) => Promise.resolve(this.#apply(update)),
      failed: () => {
        for (const origin of this.#origins.values())
          if (origin.key === key) origin.stats.counter("update_failure").inc();
      },
    };
    const subscription = this.#options.sources.subscribe(source, resourceTypes.eds, handler);
    this.#groups.set(key, { subscription, wanted: new Set() });
  }

  /** Asks once for all clusters that came in one go. */
  #refresh(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      if (this.#isClosed) return;
      const names = this.#options.clusters.wantedEndpoints();
      for (const [key, group] of this.#groups) this.#ask(key, group, names);
    });
  }

  #ask(key: string, group: Group, names: readonly string[]): void {
    const wanted = new Set(names.filter((name) => this.#origins.get(name)?.key === key).sort());
    const added = [...wanted].filter((name) => !group.wanted.has(name));
    const gone = [...group.wanted].filter((name) => !wanted.has(name));
    if (added.length === 0 && gone.length === 0) return;
    group.wanted = wanted;
    for (const name of gone) {
      this.#assignments.delete(name);
      if (this.#origins.get(name)?.key === key) this.#origins.delete(name);
    }
    if (wanted.size > 0 || key === "ads") {
      group.subscription.want(wanted);
      return;
    }
    group.subscription.close();
    this.#groups.delete(key);
  }

  #apply(update: ResourceUpdate): readonly Rejection[] {
    const { clusters, clock, hash } = this.#options;
    const rejections: Rejection[] = [];
    for (const received of update.resources) {
      const { name, version } = received;
      const stats = this.#origins.get(name)?.stats;
      try {
        const resource = decodeResource(received) as ClusterLoadAssignment;
        clusters.setEndpoints(name, resource);
        const state = { isStatic: false, isWarming: false, updatedAt: clock.now() };
        if (stats !== undefined) this.#assignments.set(name, { name, resource, version, ...state });
        stats?.gauge("version").set(hash(version));
      } catch (cause: unknown) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        rejections.push({ resource: `${resourceTypes.eds.shortName} ${name}`, reason });
      }
    }
    for (const name of update.removed) {
      this.#assignments.delete(name);
      clusters.setEndpoints(name, undefined);
    }
    return rejections;
  }
}

const extensionNames: ReadonlySet<string> = new Set(["envoy.cluster.eds", "envoy.clusters.eds"]);

/** True for a cluster whose endpoints come by EDS. */
export function isByDiscovery({ type, cluster_type: extension }: Cluster): boolean {
  return extension === undefined ? type === "EDS" : extensionNames.has(extension.name ?? "");
}
