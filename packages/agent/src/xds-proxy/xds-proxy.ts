/**
 * The discovery service on a Unix socket: each stream of the proxy is passed on over one stream to the control plane, with
 * the credentials of the agent (Istio: pkg/istio-agent/xds_proxy.go).
 */
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import type { UpstreamOptions } from "../identity/upstream.ts";

export interface XdsProxyOptions {
  readonly socketPath: string;
  readonly upstream: UpstreamOptions;
  /** Called with each table of names; without it none is asked for. A throw refuses the table. */
  readonly onNameTable?: (table: NameTable) => void;
  /** Rights of the socket; 0o600 where not given. */
  readonly socketMode?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the application's readiness probe says, for workloads outside Kubernetes. */
export type HealthReport = { readonly isHealthy: true } | { readonly isHealthy: false; readonly message: string };

export interface XdsProxy {
  /** Told to the control plane now, and again on each new stream after the first request for listeners. */
  reportHealth(report: HealthReport): void;
  /** True while a stream is open up to the control plane, and it has answered. */
  isConnected(): boolean;
  stop(): Promise<void>;
}

/** Rejects where the socket cannot be made. */
export declare function startXdsProxy(options: XdsProxyOptions): Promise<XdsProxy>;
