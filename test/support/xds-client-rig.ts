/**
 * The whole xDS side over a plain table of resources: generators that look names up. It permits all types, odd names and
 * generators that fail, which a real mesh does not. Loopback gRPC, nothing replaced.
 */

import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { CounterName, XdsMetrics } from "../../src/push/metrics.ts";
import { createSnapshotBuilder } from "../../src/snapshot/build.ts";
import type { SnapshotChange } from "../../src/snapshot/snapshot.ts";
import type { Built } from "../../src/translate/built.ts";
import type { Generators } from "../../src/translate/generators.ts";
import type { ListenerKey, ScopeKey, ScopeView, WorkloadKey } from "../../src/translate/scope.ts";
import { createDiscoveryServer, type DiscoveryServer } from "../../src/xds/discovery-server.ts";
import { createGrpcTransport, defaultGrpcLimits, type GrpcLimits } from "../../src/xds/grpc-server.ts";
import { defaultLimits, type XdsLimits } from "../../src/xds/limits.ts";
import { type Variant, XdsClient, type XdsStream } from "./xds-client.ts";

export type TableType = "cds" | "eds" | "lds" | "rds";

export const typeUrls: Readonly<Record<TableType, string>> = {
  cds: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  eds: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  lds: "type.googleapis.com/envoy.config.listener.v3.Listener",
  rds: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};

/** The smallest resource of a type whose bytes depend on `value`. */
function makeMessage(type: TableType, name: string, value: number): object {
  switch (type) {
    case "cds":
      return { name, type: "EDS", alt_stat_name: `v${value}` };
    case "eds":
      return { cluster_name: name, endpoints: [{ priority: value }] };
    case "lds":
      return { name, stat_prefix: `v${value}` };
    case "rds":
      return { name, virtual_hosts: [{ name: `v${value}`, domains: ["*"] }] };
  }
}

export interface RigOptions {
  readonly limits?: Partial<XdsLimits>;
  readonly grpcLimits?: Partial<GrpcLimits>;
  /** False: nothing is applied until `commit`. */
  readonly isSynced?: boolean;
}

/** Resources by namespace of the proxy: proxies of other namespaces see their own table. */
export class XdsRig {
  readonly server: DiscoveryServer;
  readonly counters = new Map<string, number>();
  readonly rejects = new Map<string, string>();
  /** Types whose generator throws. */
  readonly failing = new Set<TableType>();
  address = "";
  readonly #tables = new Map<string, Map<string, Built<object>>>();
  readonly #clients: XdsClient[] = [];
  readonly #builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });

  private constructor(options: RigOptions) {
    this.server = createDiscoveryServer({
      generators: this.#createGenerators(),
      clock: systemClock,
      log: silentLog,
      metrics: this.#createMetrics(),
      limits: { ...defaultLimits(2), debounceQuietMs: 0, scopeLingerMs: 0, drainMs: 500, ...options.limits },
      identity: { id: "rig", version: "test", runId: "run" },
      createTransport: (service) => {
        const limits = { ...defaultGrpcLimits, ...options.grpcLimits };
        return createGrpcTransport({ limits, clock: systemClock, log: silentLog }, service);
      },
      yieldTurn: (run) => void setImmediate(run),
    });
  }

  static async start(options: RigOptions = {}): Promise<XdsRig> {
    const rig = new XdsRig(options);
    rig.set("eds", "barrier", 0).set("rds", "barrier", 0);
    if (options.isSynced !== false) rig.commit();
    rig.address = await rig.server.start("127.0.0.1:0");
    return rig;
  }

  /** Puts a resource into the table of a namespace; undefined takes it out. */
  set(type: TableType, name: string, value: number | undefined, namespace = "default"): this {
    if (value === undefined) this.#table(type, namespace).delete(name);
    else this.#table(type, namespace).set(name, { name, message: makeMessage(type, name, value), sources: [] });
    return this;
  }

  /** Puts a route configuration into the table whose only route leads to a cluster. */
  setRoute(name: string, cluster: string): this {
    const route = { match: { prefix: "/" }, route: { cluster } };
    const message = { name, virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] };
    this.#table("rds", "default").set(name, { name, message, sources: [] });
    return this;
  }

  /** Publishes what was set. */
  commit(): void {
    this.server.apply(this.#change({ kinds: new Set(["DestinationRule", "Sidecar"]) }));
  }

  /** Publishes as a change of nothing but the endpoints of these load assignments. */
  commitEndpoints(...names: readonly string[]): void {
    this.server.apply(this.#change({ endpoints: new Set(names.map((name) => `rig/${name}`)) }));
  }

  connect(): XdsClient {
    const client = new XdsClient(this.address);
    this.#clients.push(client);
    return client;
  }

  open<V extends Variant>(variant: V): XdsStream<V> {
    return this.connect().open(variant);
  }

  counter(name: CounterName, type: string): number {
    return this.counters.get(`${name} ${type}`) ?? 0;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.server.stop();
  }

  #change(part: Partial<SnapshotChange>): SnapshotChange {
    const before = this.#builder.current;
    const change = this.#builder.apply({ changes: [], problems: [] });
    return { ...change, before, objects: [], ...part };
  }

  #table(type: TableType, namespace: string): Map<string, Built<object>> {
    const key = `${namespace} ${type}`;
    const known = this.#tables.get(key) ?? new Map<string, Built<object>>();
    this.#tables.set(key, known);
    return known;
  }

  #look(type: TableType, { key }: ScopeView, name: string): Built<object> | undefined {
    if (this.failing.has(type)) throw new Error(`the generator of ${type} fails`);
    return this.#table(type, key.namespace).get(name);
  }

  #list(type: TableType, { key }: ScopeView): readonly Built<object>[] {
    if (this.failing.has(type)) throw new Error(`the generator of ${type} fails`);
    return [...this.#table(type, key.namespace).values()];
  }

  #createGenerators(): Generators {
    const generators = {
      deriveKeys: (_snapshot: unknown, proxy: { readonly namespace: string; readonly type: string }) => {
        const scope = { id: proxy.namespace, namespace: proxy.namespace, proxyType: proxy.type } as unknown as ScopeKey;
        const listener = { id: "listener", scope } as unknown as ListenerKey;
        return { scope, listener, workload: { id: "workload", listener } as unknown as WorkloadKey };
      },
      createScopeView: (snapshot: unknown, key: ScopeKey) => ({ snapshot, key }),
      createWorkloadView: (scope: ScopeView, key: WorkloadKey) => ({ scope, key, targets: [] }),
      outboundClusters: (view: ScopeView) => this.#list("cds", view),
      inboundClusters: () => [],
      outboundListeners: (view: ScopeView) => this.#list("lds", view),
      inboundListeners: () => [],
      routeConfiguration: (view: ScopeView, name: string) => this.#look("rds", view, name),
      routeNames: (view: ScopeView) => this.#list("rds", view).map(({ name }) => name),
      loadAssignment: (view: ScopeView, name: string) => this.#look("eds", view, name),
      loadAssignmentNames: (view: ScopeView) => this.#list("eds", view).map(({ name }) => name),
      extensionConfig: () => undefined,
      nameTable: () => [],
      serviceOfLoadAssignment: (_view: ScopeView, name: string) => `rig/${name}`,
    };
    return generators as unknown as Generators;
  }

  #createMetrics(): XdsMetrics {
    return {
      count: (name, labels, amount = 1) => {
        const key = `${name} ${labels?.["type"] ?? ""}`;
        this.counters.set(key, (this.counters.get(key) ?? 0) + amount);
      },
      observe: () => undefined,
      setReject: (type, node, code) => {
        if (code === undefined) this.rejects.delete(`${type} ${node}`);
        else this.rejects.set(`${type} ${node}`, code);
      },
      noteRequestSize: () => undefined,
    };
  }
}

/** The node of a sidecar. */
export function nodeOf(name = "a", namespace = "default"): { readonly id: string } {
  return { id: `sidecar~10.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local` };
}
