/** Active health checks of a cluster: which hosts are well is asked again and again (Envoy: "Health checking"). */

import { packAny } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { HealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import type { Clock } from "../../lib/clock.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { Log } from "../../lib/log.ts";
import type { Stats } from "../../lib/stats.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import type { SecretProvider } from "../../tls/types.ts";
import { ClusterHost } from "../hosts/cluster-host.ts";
import { placeOf } from "../hosts/endpoint-plan.ts";
import { createHostPools } from "../pool/host-pools.ts";
import type { HostPools } from "../pool/types.ts";
import type { Breaker } from "../types.ts";
import type { CompiledCheck } from "./check.ts";
import { compileGrpcCheck } from "./grpc-check.ts";
import { compileHealthTimes, type HealthTimes } from "./health-config.ts";
import { findHealthStats, type HealthStats } from "./health-stats.ts";
import { HostChecker } from "./host-checker.ts";
import { compileHttpCheck } from "./http-check.ts";
import { compileTcpCheck } from "./tcp-check.ts";
import { uncountedStats } from "./uncounted-stats.ts";

export interface HealthChecks {
  add(host: ClusterHost): void;
  remove(host: ClusterHost): void;
  /** Resolves when every host that is there has been asked once. */
  firstRound(): Promise<void>;
  /** The host said in an answer that it fails its checks (x-envoy-immediate-health-check-fail). */
  failAtOnce(host: ClusterHost): void;
  close(): void;
}

export interface HealthChecksEnv {
  /** "cluster.NAME." */
  readonly stats: Stats;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly secrets: SecretProvider;
  readonly onChange: (host: ClusterHost) => void;
  readonly onPassed: (host: ClusterHost) => void;
}

type CreateHealthChecks = (env: HealthChecksEnv) => HealthChecks;

const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Undefined where none are configured. Throws ConfigError. */
export function compileHealthChecks(cluster: Cluster): CreateHealthChecks | undefined {
  const [wire, ...others] = cluster.health_checks ?? [];
  if (wire === undefined) return undefined;
  if (others.length > 0) throw new ConfigError("", "Multiple health checks not supported");
  const times = compileHealthTimes(wire);
  if (wire.tls_options !== undefined) throw new ConfigError("tls_options", "is not supported");
  if (wire.transport_socket_match_criteria !== undefined) {
    throw new ConfigError("transport_socket_match_criteria", "is not supported");
  }
  // Compiled once without statistics, so that mistakes are found before anything is started.
  compileCheck(wire, cluster, uncountedStats);
  return (env) => new ClusterChecks({ wire, cluster, times }, env);
}

/** Logs of events (event_log_path, event_logger, always_log_…) are not kept: they change no answer. */
function compileCheck(wire: HealthCheck, cluster: Cluster, stats: Stats): CompiledCheck {
  const options = { clusterName: cluster.name ?? "", scheme: schemeOf(cluster) } as const;
  const { http_health_check: http, tcp_health_check: tcp, grpc_health_check: grpc, custom_health_check: custom } = wire;
  if (http) {
    const { verifyCluster } = findHealthStats(stats);
    return within("http_health_check", () => compileHttpCheck(http, { ...options, verifyCluster }));
  }
  if (tcp) return within("tcp_health_check", () => compileTcpCheck(tcp));
  if (grpc) return within("grpc_health_check", () => compileGrpcCheck(grpc, options));
  if (custom) throw new ConfigError("custom_health_check", `${custom.name ?? ""} is not supported`);
  throw new ConfigError("", "needs http_health_check, tcp_health_check or grpc_health_check");
}

function schemeOf({ transport_socket: socket }: Cluster): "http" | "https" {
  return socket === undefined || socket.name === "envoy.transport_sockets.raw_buffer" ? "http" : "https";
}

interface ChecksConfig {
  readonly wire: HealthCheck;
  readonly cluster: Cluster;
  readonly times: HealthTimes;
}

class ClusterChecks implements HealthChecks {
  readonly #config: ChecksConfig;
  readonly #env: HealthChecksEnv;
  readonly #check: CompiledCheck;
  readonly #stats: HealthStats;
  readonly #pools: HostPools;
  readonly #checkers = new Map<ClusterHost, HostChecker>();
  /** Where each of them connects to. */
  readonly #targets = new Map<ClusterHost, ClusterHost>();

  constructor(config: ChecksConfig, env: HealthChecksEnv) {
    this.#config = config;
    this.#env = env;
    this.#stats = findHealthStats(env.stats);
    this.#check = compileCheck(config.wire, config.cluster, env.stats);
    // Pools of their own: their requests are not those of the cluster, and its breakers do not hold them back.
    this.#pools = createHostPools({
      cluster: withProtocol(config.cluster, this.#check.protocol),
      stats: uncountedStats,
      clock: env.clock,
      log: env.log,
      secrets: env.secrets,
      random: env.random,
      breakers: () => unlimited,
    });
  }

  add(host: ClusterHost): void {
    if (host.plan.isCheckDisabled) return;
    const target = targetOf(host, this.#env.clock.monotonic());
    const isReused = wrappedBool(this.#config.wire.reuse_connection, true);
    const { clock, random, onChange, onPassed, stats } = this.#env;
    const total = stats.counter("upstream_cx_total");
    const checker = new HostChecker({
      ...{ host, clock, random, onChange, onPassed },
      times: this.#config.times,
      stats: this.#stats,
      hasTraffic: () => total.value > 0,
      run: async (signal) => {
        const hostname = host.endpoint.endpoint?.health_check_config?.hostname ?? "";
        try {
          return await this.#check.run({ host: target, hostname, pools: this.#pools, signal });
        } finally {
          if (!isReused) this.#pools.drainHost(target, "close");
        }
      },
    });
    this.#checkers.set(host, checker);
    this.#targets.set(host, target);
  }

  remove(host: ClusterHost): void {
    this.#checkers.get(host)?.close();
    this.#checkers.delete(host);
    const target = this.#targets.get(host);
    if (target !== undefined) this.#pools.removeHost(target);
    this.#targets.delete(host);
  }

  async firstRound(): Promise<void> {
    await Promise.all([...this.#checkers.values()].map(({ first }) => first));
  }

  failAtOnce(host: ClusterHost): void {
    this.#checkers.get(host)?.failAtOnce();
  }

  close(): void {
    for (const host of [...this.#checkers.keys()]) this.remove(host);
    this.#pools.close().catch((cause: unknown) => {
      this.#env.log.warn("connections of health checks could not be closed", { cause: String(cause) });
    });
  }
}

/** The host where it is checked: health_check_config may name another port or address. */
function targetOf(host: ClusterHost, now: number): ClusterHost {
  const { plan } = host;
  const place = placeOf(plan.checkIp ?? plan.ip, plan.checkPort === 0 ? plan.port : plan.checkPort);
  return new ClusterHost(plan.ip.startsWith("/") ? plan : { ...plan, ...place }, now);
}

/** The cluster as checks speak to it: codec_client_type does not follow the cluster's protocol. */
function withProtocol(cluster: Cluster, protocol: CompiledCheck["protocol"]): Cluster {
  if (protocol === undefined) return cluster;
  const explicit_http_config = protocol === "http2" ? { http2_protocol_options: {} } : { http_protocol_options: {} };
  const options = { [httpOptionsKey]: packAny(httpOptionsKey, { explicit_http_config }) };
  return { ...cluster, typed_extension_protocol_options: options };
}

const freely: Breaker = { take: () => true, release: () => undefined };
const unlimited = {
  connections: freely,
  pendingRequests: freely,
  requests: freely,
  retries: freely,
  connectionPools: freely,
};
