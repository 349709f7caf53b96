/** Connections to the hosts of one cluster. */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Stats } from "../../lib/stats.ts";
import type { SecretProvider } from "../../tls/types.ts";
import type {
  CircuitBreakers,
  ConnectOptions,
  Host,
  PendingRequest,
  UpstreamConnection,
  UpstreamRequest,
} from "../types.ts";

export interface PoolEnv {
  readonly cluster: Cluster;
  /** "cluster.NAME." */
  readonly stats: Stats;
  readonly clock: Clock;
  readonly log: Log;
  readonly secrets: SecretProvider;
  readonly random: () => number;
  breakers(priority: "DEFAULT" | "HIGH"): CircuitBreakers;
}

/** The pools of a cluster, by host, protocol and priority. Made by createHostPools, which throws ConfigError. */
export interface HostPools {
  /** When its transport sockets have their secrets. */
  readonly ready: Promise<void>;
  /** Counts upstream_cx_* and upstream_rq_{total,active,pending_*,cancelled,completed…} itself. */
  send(host: Host, request: UpstreamRequest, priority: "DEFAULT" | "HIGH"): PendingRequest;
  connect(host: Host, options: ConnectOptions): Promise<UpstreamConnection>;
  /** Its connections take no more requests, and end with those that they have, or at once. New ones may be opened. */
  drainHost(host: Host, how: "finish" | "close"): void;
  /** The host has left the cluster: what is under way may end, and then nothing is kept of it. */
  removeHost(host: Host): void;
  /** For /clusters: connections and requests of a host. */
  describeHost(
    host: Host,
  ): Readonly<
    Record<
      | "cx_active"
      | "cx_connect_fail"
      | "cx_total"
      | "rq_active"
      | "rq_error"
      | "rq_success"
      | "rq_timeout"
      | "rq_total",
      number
    >
  >;
  close(): Promise<void>;
}
