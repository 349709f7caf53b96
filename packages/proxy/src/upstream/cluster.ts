/** One cluster as it was configured once: its hosts, what chooses among them, and the ways to send something to one. */

import { durationToMs, unpackAs } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Runtime } from "../config/runtime.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import { cleanPrefix } from "../lib/stat-owner.ts";
import type { StatNames, Stats } from "../lib/stats.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import type { SecretProvider } from "../tls/types.ts";
import type { Balancer, BalancerContext, BalancerEnv } from "./balancers/balancer.ts";
import { type BalancerStats, balancerStatNames, findBalancerStats } from "./balancers/balancer-stats.ts";
import { type BalancerPlan, compileBalancer } from "./balancers/compile-balancer.ts";
import { checkCluster } from "./check-cluster.ts";
import { breakerStatNames, compileCircuitBreakers } from "./circuit-breakers.ts";
import { CountedBody } from "./counted-body.ts";
import { compileDiscovery, type DiscoveryEnv } from "./discovery/compile-discovery.ts";
import type { Discovery, DiscoveryParts } from "./discovery/discovery.ts";
import type { DnsResolverPlan } from "./dns/dns-config.ts";
import { compileHealthChecks, type HealthChecks } from "./health/health-checks.ts";
import { ClusterHost } from "./hosts/cluster-host.ts";
import { metadataToJson } from "./hosts/endpoint-plan.ts";
import type { HostSet } from "./hosts/host-set.ts";
import { Members, type MembershipChange, membershipStatNames } from "./hosts/members.ts";
import { compileErrorMatcher, type JudgeResponse, judgeByStatus } from "./outlier/error-matcher.ts";
import { compileOutlierConfig } from "./outlier/outlier-config.ts";
import { OutlierDetector } from "./outlier/outlier-detector.ts";
import { compileOverrideStatus, type IsOverridable } from "./override-host.ts";
import { createHostPools } from "./pool/host-pools.ts";
import { poolStatNames } from "./pool/pool-stats.ts";
import type { HostPools } from "./pool/types.ts";
import {
  type AttemptResult,
  type CircuitBreakers,
  type ConnectOptions,
  type Host,
  type LoadBalancerContext,
  type PendingRequest,
  type UpstreamCluster,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamFailure,
  type UpstreamRequest,
  type UpstreamResponse,
} from "./types.ts";

export interface ClusterEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly secrets: SecretProvider;
  readonly runtime: Runtime;
  /** Where the proxy is. */
  readonly home: Host["locality"];
  /** The bootstrap's resolvers. */
  readonly dns: DnsResolverPlan;
  readonly discovery: DiscoveryEnv;
  /** Hosts at priority 0 of the cluster that the proxy is in. */
  readonly localHosts: () => HostSet | undefined;
}

const defaultBufferLimit = 1024 * 1024;
const defaultConnectTimeoutMs = 5000;
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Envoy shows them for clusters of every type. */
const discoveryStatNames: StatNames = {
  counters: [
    "assignment_stale",
    "assignment_timeout_received",
    "assignment_use_cached",
    "update_attempt",
    "update_empty",
    "update_failure",
    "update_no_rebuild",
    "update_success",
    "upstream_cx_none_healthy",
  ],
};

const shownNames = join([discoveryStatNames, breakerStatNames, poolStatNames, membershipStatNames, balancerStatNames]);

/** Failures that say nothing of the host: the limits of this proxy, or its own wish. */
const ownFailures: ReadonlySet<UpstreamFailure> = new Set([
  "overflow",
  "local-reset",
  "max-duration",
  "no-cluster",
  "no-healthy-upstream",
  "drop-overload",
  "unconditional-drop-overload",
  "dns-failure",
]);

export class CompiledCluster implements UpstreamCluster {
  readonly name: string;
  readonly wire: Cluster;
  /** "cluster.NAME." */
  readonly statPrefix: string;
  readonly stats: Stats;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly connectTimeoutMs: number;
  readonly bufferLimit: number;
  readonly breakers: (priority: "DEFAULT" | "HIGH") => CircuitBreakers;
  readonly #env: ClusterEnv;
  readonly #members: Members;
  readonly #pools: HostPools;
  readonly #discovery: Discovery;
  readonly #balancer: Balancer | undefined;
  readonly #outlier: OutlierDetector | undefined;
  readonly #checks: HealthChecks | undefined;
  readonly #isOverridable: IsOverridable;
  readonly #judge: JudgeResponse;
  #active = 0;
  #isRetired = false;

  /** Checks all of the configuration and begins to find hosts. Throws ConfigError. */
  constructor(wire: Cluster, env: ClusterEnv) {
    const plan = compilePlan(wire, env);
    const { clock, random, log } = env;
    this.statPrefix = cleanPrefix(`cluster.${wire.alt_stat_name || wire.name}`);
    const stats = env.stats.scope(this.statPrefix);
    this.name = wire.name ?? "";
    this.wire = wire;
    this.stats = stats;
    this.metadata = metadataToJson(wire.metadata);
    this.connectTimeoutMs = durationToMs(wire.connect_timeout) ?? defaultConnectTimeoutMs;
    this.bufferLimit = wrappedNumber(wire.per_connection_buffer_limit_bytes, defaultBufferLimit);
    this.breakers = compileCircuitBreakers(wire.circuit_breakers, { stats, clock });
    this.#env = env;
    this.#isOverridable = compileOverrideStatus(wire.common_lb_config?.override_host_status);
    this.#judge = plan.judge;
    this.#pools = createHostPools({
      cluster: wire,
      stats,
      clock,
      log,
      secrets: env.secrets,
      random,
      breakers: this.breakers,
    });
    // Not before all of the configuration was looked at: a cluster that cannot be used shows nothing.
    stats.announce(shownNames);
    this.#members = new Members({
      stats,
      clock,
      home: env.home,
      hasChecks: plan.checks !== undefined,
      ignoresNewHosts: wire.common_lb_config?.ignore_new_hosts_until_first_hc ?? false,
      removesHealthyHosts: wire.ignore_health_on_host_removal ?? false,
    });
    this.#outlier = plan.outlier && this.#createDetector(plan.outlier);
    this.#checks = plan.checks?.({
      ...{ stats, clock, log, random },
      secrets: env.secrets,
      onChange: (host) => this.#onHealthChange(host),
      onPassed: (host) => this.#outlier?.onCheckPassed(host),
    });
    this.#members.onChange((change) => this.#onMembership(change));
    this.#balancer =
      plan.balancer === "provided" ? undefined : plan.balancer(() => this.#members.sets, this.#balancerEnv());
    this.#discovery = plan.discovery({
      cluster: wire,
      members: this.#members,
      stats,
      clock,
      log,
      random,
      dns: env.dns,
    });
  }

  /** Resolves when it can take the place of another: hosts are found and checked once, secrets are there. */
  async warm(): Promise<void> {
    await Promise.all([this.#discovery.ready, this.#pools.ready]);
    await this.#checks?.firstRound();
    this.#balancer?.prepare?.();
  }

  /** The service whose endpoints it wants. */
  get serviceName(): string | undefined {
    return this.#discovery.serviceName;
  }

  setEndpoints(assignment: Parameters<NonNullable<Discovery["setEndpoints"]>>[0]): void {
    this.#discovery.setEndpoints?.(assignment);
  }

  get sets(): readonly HostSet[] {
    return this.#members.sets;
  }

  /** Shows its numbers again where another cluster of the name has overwritten them. */
  showCounts(): void {
    this.#members.refresh();
  }

  chooseHost(context: LoadBalancerContext): Host | Promise<Host> {
    for (const { fraction } of this.#discovery.dropOverloads) {
      if (this.#env.random() >= fraction) continue;
      throw new UpstreamError(fraction === 1 ? "unconditional-drop-overload" : "drop-overload");
    }
    const { override } = context;
    if (override !== undefined) {
      const host = this.#members.find(override.address);
      if (host !== undefined && this.#isOverridable(host)) return host;
      if (override.isStrict) return this.#require(undefined);
    }
    const chosen = this.#chooseAny(context);
    return chosen instanceof Promise ? chosen.then((host) => this.#require(host)) : this.#require(chosen);
  }

  /** For aggregates, which draw the priority themselves. */
  chooseForAggregate(context: BalancerContext): ClusterHost | undefined {
    return this.#balancer?.choose(context);
  }

  /** The hosts of an aggregate are those of other clusters, with their connections and limits. */
  #ownerOf(host: ClusterHost): UpstreamCluster {
    return this.#discovery.ownerOf?.(host) ?? this;
  }

  send(host: Host, request: UpstreamRequest, priority: "DEFAULT" | "HIGH"): PendingRequest {
    const target = ownHost(host);
    const owner = this.#ownerOf(target);
    if (owner !== this) return owner.send(host, request, priority);
    const pending = this.#pools.send(host, request, priority);
    const release = this.#hold(target);
    const response = pending.response.then(
      (answer) => this.#onResponse(target, answer, release),
      (cause: unknown) => {
        release();
        this.#onFailure(target, cause);
        throw cause;
      },
    );
    return { response, cancel: () => this.#cancel(pending, release), traffic: pending.traffic };
  }

  async connect(host: Host, options: ConnectOptions): Promise<UpstreamConnection> {
    const target = ownHost(host);
    const owner = this.#ownerOf(target);
    if (owner !== this) return await owner.connect(host, options);
    // From now on: a cluster that is replaced must not end what is still being connected.
    const release = this.#hold(target);
    try {
      const connection = await this.#pools.connect(host, options);
      this.#outlier?.reportConnected(target, true);
      connection.stream.once("close", release);
      return connection;
    } catch (cause: unknown) {
      release();
      this.#onFailure(target, cause);
      throw cause;
    }
  }

  report(host: Host, result: AttemptResult): void {
    const target = ownHost(host);
    const owner = this.#ownerOf(target);
    if (owner !== this) {
      owner.report(host, result);
      return;
    }
    switch (result.kind) {
      case "status":
        this.#outlier?.reportStatus(target, result.status);
        return;
      case "connected":
        this.#outlier?.reportConnected(target, false);
        return;
      case "local-failure":
        if (result.failure === "timeout") this.#outlier?.reportLocalFailure(target, "timeout");
        else if (!ownFailures.has(result.failure)) this.#outlier?.reportLocalFailure(target, "failure");
    }
  }

  resolve(context: LoadBalancerContext): Promise<unknown> | undefined {
    return this.#discovery.resolve?.(context);
  }

  listHosts(): readonly Host[] {
    return this.#members.list();
  }

  /** For /clusters: connections and requests of a host. */
  describeHost(host: Host): ReturnType<HostPools["describeHost"]> {
    return this.#pools.describeHost(host);
  }

  /** Another has taken its place: what is under way may end, and then its connections do. */
  retire(): void {
    this.#isRetired = true;
    this.#stopWatching();
    for (const host of this.#members.list()) this.#pools.drainHost(host, "finish");
    this.#endWhenIdle();
  }

  /** Another has taken its place, or none, and nothing is under way any more. */
  get isOver(): boolean {
    return this.#isRetired && this.#active === 0;
  }

  /** Ends it with all of its connections. */
  async close(): Promise<void> {
    this.#stopWatching();
    await this.#pools.close();
  }

  #stopWatching(): void {
    this.#discovery.close();
    this.#checks?.close();
    this.#outlier?.close();
  }

  #endWhenIdle(): void {
    if (!this.#isRetired || this.#active > 0) return;
    this.#pools.close().catch((cause: unknown) => {
      this.#env.log.warn("connections of a former cluster could not be closed", { cause: String(cause) });
    });
  }

  #chooseAny(context: LoadBalancerContext): ClusterHost | undefined | Promise<ClusterHost | undefined> {
    if (this.#balancer !== undefined) return this.#balancer.choose(context);
    return this.#discovery.choose?.(context);
  }

  #require(host: ClusterHost | undefined): ClusterHost {
    if (host !== undefined) return host;
    this.stats.counter("upstream_cx_none_healthy").inc();
    throw new UpstreamError("no-healthy-upstream");
  }

  #hold(host: ClusterHost): () => void {
    host.activeRequests += 1;
    this.#active += 1;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      host.activeRequests -= 1;
      this.#active -= 1;
      if (this.#isRetired) this.#endWhenIdle();
    };
  }

  #cancel(pending: PendingRequest, release: () => void): void {
    release();
    pending.cancel();
  }

  #onResponse(host: ClusterHost, response: UpstreamResponse, release: () => void): UpstreamResponse {
    if (this.#outlier !== undefined) {
      this.#outlier.reportConnected(host, false);
      this.#outlier.reportStatus(host, this.#judge(response.status, response.headers));
    }
    if (response.headers.has("x-envoy-immediate-health-check-fail")) this.#checks?.failAtOnce(host);
    if (response.body === undefined) {
      release();
      return response;
    }
    const { status, headers, protocol, body } = response;
    return { status, headers, protocol, body: new CountedBody(body, release) };
  }

  #onFailure(host: ClusterHost, cause: unknown): void {
    if (!(cause instanceof UpstreamError) || ownFailures.has(cause.failure)) return;
    this.#outlier?.reportLocalFailure(host, cause.failure === "connection-timeout" ? "timeout" : "failure");
  }

  #createDetector(config: ReturnType<typeof compileOutlierConfig>): OutlierDetector {
    const { clock, random } = this.#env;
    const onChange = (host: ClusterHost): void => this.#onHealthChange(host);
    return new OutlierDetector({ config, clock, random, stats: this.stats, onChange });
  }

  #balancerEnv(): BalancerEnv {
    const { clock, random, runtime, localHosts } = this.#env;
    const { stats } = this;
    const activeRequests = (): number => this.#active;
    let found: BalancerStats | undefined;
    return {
      clock,
      random,
      runtime,
      stats,
      localHosts,
      activeRequests,
      get lbStats() {
        found ??= findBalancerStats(stats);
        return found;
      },
    };
  }

  #onHealthChange(host: ClusterHost): void {
    if (host.isLeaving && host.health === "unhealthy") this.#members.drop(host);
    else this.#members.refresh();
    if (host.health !== "unhealthy") return;
    // Its connections may be what is wrong with it, by the way that packets of theirs take: new ones could do better.
    this.#pools.drainHost(host, this.wire.close_connections_on_host_health_failure ? "close" : "finish");
  }

  #onMembership({ added, removed }: MembershipChange): void {
    for (const host of added) {
      this.#outlier?.add(host);
      this.#checks?.add(host);
    }
    for (const host of removed) {
      this.#outlier?.remove(host);
      this.#checks?.remove(host);
      this.#pools.removeHost(host);
    }
    // Requests that were hashed to other hosts before must not stay on their old connections.
    if (this.wire.common_lb_config?.close_connections_on_host_set_change && removed.length + added.length > 0) {
      for (const host of this.#members.list()) if (!added.includes(host)) this.#pools.drainHost(host, "finish");
    }
  }
}

function join(all: readonly StatNames[]): StatNames {
  return {
    counters: all.flatMap(({ counters = [] }) => counters),
    gauges: all.flatMap(({ gauges = [] }) => gauges),
    histograms: all.flatMap(({ histograms = [] }) => histograms),
  };
}

interface ClusterPlan {
  readonly balancer: BalancerPlan["create"];
  readonly discovery: (parts: DiscoveryParts) => Discovery;
  readonly outlier: ReturnType<typeof compileOutlierConfig> | undefined;
  readonly checks: ReturnType<typeof compileHealthChecks>;
  readonly judge: JudgeResponse;
}

function compilePlan(wire: Cluster, env: ClusterEnv): ClusterPlan {
  if (!wire.name) throw new ConfigError("name", "is required");
  checkTimes(wire);
  checkCluster(wire);
  const { outlier_detection: outlier } = wire;
  const balancer = compileBalancer(wire).create;
  const discovery = compileDiscovery(wire, env.discovery);
  if (balancer === "provided" && !choosesItself(wire)) {
    throw new ConfigError("lb_policy", "CLUSTER_PROVIDED cannot be used with this type of cluster");
  }
  return {
    balancer: choosesItself(wire) ? "provided" : balancer,
    discovery,
    outlier: outlier && within("outlier_detection", () => compileOutlierConfig(outlier, env.runtime)),
    checks: within("health_checks[0]", () => compileHealthChecks(wire)),
    judge: compileJudge(wire),
  };
}

function checkTimes({ connect_timeout: timeout }: Cluster): void {
  if (timeout !== undefined && durationToMs(timeout) <= 0) throw new ConfigError("connect_timeout", "must be above 0");
}

function choosesItself({ type, cluster_type: custom }: Cluster): boolean {
  if (custom === undefined) return type === "ORIGINAL_DST";
  return /original_dst|aggregate|dynamic_forward_proxy/.test(
    `${custom.name ?? ""} ${custom.typed_config?.type_url ?? ""}`,
  );
}

function compileJudge({ typed_extension_protocol_options: options }: Cluster): JudgeResponse {
  const any = options?.[httpOptionsKey];
  const matcher = any && unpackAs(httpOptionsKey, any)?.outlier_detection?.error_matcher;
  if (matcher === undefined) return judgeByStatus;
  return within(`typed_extension_protocol_options.${httpOptionsKey}.outlier_detection.error_matcher`, () =>
    compileErrorMatcher(matcher),
  );
}

function ownHost(host: Host): ClusterHost {
  if (!(host instanceof ClusterHost)) throw new TypeError(`${host.address} is no host of a cluster`);
  return host;
}
