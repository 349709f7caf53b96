/** One running proxy: its parts, the states it goes through, and its end. */
import { durationToMs } from "@meltemi/protos";
import type { Bootstrap } from "@meltemi/protos/envoy/config/bootstrap/v3";
import { createAccessLogFactory } from "../access-log/factory.ts";
import { startAdmin } from "../admin/admin-server.ts";
import type { AdminSource } from "../admin/types.ts";
import { buildNode, type NodeOverrides } from "../config/build-node.ts";
import type { ProxyEnv } from "../config/env.ts";
import { listExtensions } from "../config/extensions.ts";
import { createLayeredRuntime } from "../config/layered-runtime.ts";
import { compileFilterConfig } from "../filters/registry.ts";
import type { Clock } from "../lib/clock.ts";
import { Closers } from "../lib/closers.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import type { Log } from "../lib/log.ts";
import type { LongWork } from "../lib/long-work.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import { ConnectionBudget } from "../listeners/connection-budget.ts";
import { ConnectionRush } from "../listeners/connection-rush.ts";
import { createListenerManager } from "../listeners/listener-manager.ts";
import type { ListenerManager } from "../listeners/types.ts";
import { compileRouteTable } from "../router/compile-routes.ts";
import type { RouteEnv } from "../router/types.ts";
import { HandshakeLine } from "../tls/handshake-line.ts";
import { createSecrets, type Secrets } from "../tls/secrets.ts";
import { createClusterManager } from "../upstream/cluster-manager.ts";
import type { ClusterUpdates } from "../upstream/types.ts";
import { ConfigSources } from "../xds/config-sources.ts";
import { createExtensionConfigs, type DynamicExtensionConfigs } from "../xds/extension-configs.ts";
import { createRouteTables, type DynamicRouteTables } from "../xds/route-tables.ts";
import { Discovery } from "./discovery.ts";
import { ServerStats } from "./server-stats.ts";
import type { LogLevels, RunningProxy, ServerState } from "./types.ts";

const defaultFlushPeriodMs = 5000;

export interface ProxyServerOptions {
  readonly bootstrap: Bootstrap;
  readonly nodeOverrides: NodeOverrides | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly logLevels: LogLevels;
  readonly random: () => number;
  readonly commandLine: Readonly<Record<string, unknown>>;
  readonly version: string;
  /** xxHash64 of a text, as a number. */
  readonly hash: (text: string) => number;
  readonly environment: ((name: string) => string | undefined) | undefined;
  readonly drainTimeMs: number | undefined;
  readonly longWork: LongWork | undefined;
}

export class ProxyServer implements RunningProxy {
  readonly stats: StatsRegistry;
  readonly listeners: ListenerManager;
  readonly clusters: ClusterUpdates;
  readonly admin: AdminSource;
  readonly live: Promise<void>;
  readonly quitRequested: Promise<void>;
  readonly #options: ProxyServerOptions;
  readonly #parts: Parts;
  readonly #discovery: Discovery;
  readonly #serverStats: ServerStats;
  readonly #closers = new Closers();
  readonly #live = Promise.withResolvers<void>();
  readonly #quit = Promise.withResolvers<void>();
  #adminPort: number | undefined;
  #phase: Exclude<ServerState, "DRAINING"> = "PRE_INITIALIZING";
  #isDraining = false;
  #isFailing = false;
  #isClosed = false;

  /** Throws ConfigError. Nothing runs yet but timers of parts, which `close` ends. */
  constructor(options: ProxyServerOptions) {
    this.#options = options;
    this.#parts = createParts(options, () => this.#isFailing);
    const { stats, env, clusters, sources } = this.#parts;
    this.stats = stats;
    this.clusters = clusters;
    this.listeners = createListenerManager(
      env,
      options.drainTimeMs === undefined ? {} : { drainTimeMs: options.drainTimeMs },
    );
    const { bootstrap, clock, log, hash } = options;
    this.#discovery = new Discovery({
      listeners: this.listeners,
      ...{ bootstrap, clusters, sources, clock, log, stats, hash },
    });
    this.#parts.announced.whenUsable = (cluster) => this.#discovery.whenUsable(cluster);
    this.#parts.announced.has = (cluster) => this.#discovery.clusters.has(cluster);
    this.#serverStats = new ServerStats(stats, {
      clock,
      state: () => this.state(),
      connections: () => this.listeners.list().reduce((sum, { connections }) => sum + connections, 0),
      flushPeriodMs: readFlushPeriod(bootstrap),
      flush: () => {
        stats.flush();
        clusters.sweepStats(stats);
        this.listeners.sweepStats(stats);
      },
    });
    this.admin = this.#createAdminSource();
    this.live = this.#live.promise;
    this.quitRequested = this.#quit.promise;
    this.#pushClosers();
  }

  get adminPort(): number | undefined {
    return this.#adminPort;
  }

  state(): ServerState {
    return this.#isDraining || this.#isFailing ? "DRAINING" : this.#phase;
  }

  async begin(): Promise<void> {
    const address = this.#options.bootstrap.admin?.address;
    if (address !== undefined) {
      const admin = await startAdmin(this.admin, address);
      this.#adminPort = admin.port;
      this.#closers.push(() => admin.close());
    }
    const { listening } = await this.#discovery.begin();
    // An address of the bootstrap that is taken shows within a turn, and ends the start as it ends Envoy's.
    await Promise.race([listening, new Promise((resolve) => setImmediate(resolve))]);
    void this.#initialize(listening);
  }

  drain(): void {
    this.#isDraining = true;
    this.#serverStats.refresh();
    this.listeners.drain({ isInboundOnly: false, isGraceful: true, keepsListening: true });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#live.resolve();
    await this.#closers.close();
  }

  /** Clusters and their endpoints, then listeners and their routes. */
  async #initialize(listening: Promise<unknown>): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#discovery.discoverClusters();
      if (this.#isClosed) return;
      this.#enter("INITIALIZING");
      await this.#discovery.discoverListeners();
      await listening;
    } catch (cause: unknown) {
      log.error("The proxy cannot be configured as its bootstrap says", { cause });
      return;
    }
    if (this.#isClosed) return;
    this.#enter("LIVE");
    this.#serverStats.initialized();
    log.info("All that was asked for is in use");
    this.#live.resolve();
  }

  #enter(phase: Exclude<ServerState, "DRAINING">): void {
    this.#phase = phase;
    this.#serverStats.refresh();
  }

  #createAdminSource(): AdminSource {
    const { bootstrap, clock, log, version, commandLine, logLevels } = this.#options;
    const { env, stats, routes, extensions, clusters } = this.#parts;
    return {
      ...{ bootstrap, clock, log, version, commandLine, stats, clusters },
      runtime: env.runtime,
      listeners: this.listeners,
      secrets: env.secrets,
      dump: () => ({
        clusters: this.#discovery.clusters.dump(),
        routes: routes.dump(),
        listenerErrors: this.#discovery.listeners.errors(),
        endpoints: this.#discovery.endpoints.dump(),
        extensions: extensions.dump(),
      }),
      state: () => this.state(),
      setLogLevel: (level, component) => logLevels.set(level, component),
      logLevels: () => logLevels.list(),
      reopenLogs: () => env.accessLogs.reopen(),
      failHealthChecks: (isFailing) => {
        this.#isFailing = isFailing;
        this.#serverStats.refresh();
      },
      quit: () => this.#quit.resolve(),
    };
  }

  /** In the order of their making: the last is ended first, so that whoever uses a part ends before it. */
  #pushClosers(): void {
    const { env, sources, secrets, routes, extensions } = this.#parts;
    this.#closers.push(() => env.accessLogs.close());
    this.#closers.push(() => secrets.close());
    this.#closers.push(() => this.clusters.close());
    this.#closers.push(() => sources.close());
    this.#closers.push(() => extensions.close());
    this.#closers.push(() => routes.close());
    this.#closers.push(() => this.#discovery.close());
    this.#closers.push(() => env.connectionRush?.close());
    this.#closers.push(() => env.handshakes.close());
    this.#closers.push(() => this.listeners.close());
    this.#closers.push(() => this.#serverStats.close());
  }
}

/** Milliseconds; Envoy's limits. Throws ConfigError. */
function readFlushPeriod({ stats_flush_interval: interval }: Bootstrap): number {
  const periodMs = durationToMs(interval) ?? defaultFlushPeriodMs;
  if (periodMs < 1 || periodMs >= 300_000) throw new ConfigError("stats_flush_interval", "must be from 1 ms to 300 s");
  return periodMs;
}

interface Parts {
  readonly env: ProxyEnv;
  readonly stats: StatsRegistry;
  readonly clusters: ClusterUpdates;
  readonly sources: ConfigSources;
  readonly secrets: Secrets;
  readonly routes: DynamicRouteTables;
  readonly extensions: DynamicExtensionConfigs;
  /** Answered by the discovery of clusters, which is made of these parts. */
  readonly announced: { whenUsable: (cluster: string) => Promise<unknown>; has: (cluster: string) => boolean };
}

/** Parts that know each other only by functions, as clusters need secrets, and secrets streams over clusters. */
function createParts(options: ProxyServerOptions, isFailing: () => boolean): Parts {
  const { bootstrap, clock, log, random, hash } = options;
  const stats = within("stats_config", () => createStatsRegistry({ tags: bootstrap.stats_config }));
  const node = buildNode(bootstrap.node, {
    overrides: options.nodeOverrides,
    version: options.version,
    extensions: listExtensions(),
  });
  const runtime = createLayeredRuntime(bootstrap.layered_runtime);
  const connectionBudget = within("overload_manager", () => new ConnectionBudget(bootstrap.overload_manager, runtime));
  const connectionRush = options.longWork && new ConnectionRush(clock, options.longWork);
  const held: { clusters?: ClusterUpdates } = {};
  const announced: Parts["announced"] = { whenUsable: () => Promise.resolve(), has: () => false };
  const sources = new ConfigSources({
    node,
    adsConfig: bootstrap.dynamic_resources?.ads_config,
    clusters: { find: (name) => held.clusters?.find(name) },
    whenUsable: (cluster) => announced.whenUsable(cluster),
    longWork: options.longWork,
    ...{ clock, random, stats, log: log.child({ component: "config" }) },
  });
  const secrets = createSecrets({
    secrets: bootstrap.static_resources?.secrets ?? [],
    ...{ sources, clock, log, stats, hash },
  });
  const clusters = createClusterManager({
    ...{ node, runtime, secrets, clock, log, stats, random },
    dns: bootstrap,
    localClusterName: bootstrap.cluster_manager?.local_cluster_name,
  });
  held.clusters = clusters;
  const environment = options.environment;
  const accessLogs = createAccessLogFactory({ clock, log, stats, runtime, random, clusters, node, environment });
  const routeEnv: RouteEnv = {
    compileFilterConfig: (name, any, isOptional) => compileFilterConfig(name, any, isOptional, env),
    ...{ random, runtime, clusters, stats },
  };
  // Tables within listeners may name only clusters that are there; those that come by name may be ahead of them.
  const inlineEnv: RouteEnv = { ...routeEnv, validateClusters: true, hasCluster: (name) => announced.has(name) };
  const compileRoutes: ProxyEnv["compileRoutes"] = (config) => compileRouteTable(config, inlineEnv);
  const routes = createRouteTables({
    compile: (config) => compileRouteTable(config, routeEnv),
    ...{ sources, clock, stats, hash },
  });
  const extensions = createExtensionConfigs({ sources, clock, stats, hash });
  const env: ProxyEnv = {
    ...{ clock, log, stats, random, node, runtime, clusters, secrets, accessLogs, routes, compileRoutes, extensions },
    ...{ environment, connectionBudget, connectionRush },
    handshakes: new HandshakeLine(clock),
    isFailingHealthChecks: isFailing,
  };
  return { env, stats, clusters, sources, secrets, routes, extensions, announced };
}
