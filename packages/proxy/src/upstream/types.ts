/** Clusters, their hosts, and the ways to send something to one. */

import type { Duplex } from "node:stream";
import { TracelessError } from "@meltemi/http2/traceless-error";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment, LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { Stats } from "../lib/stats.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";

/** One endpoint of a cluster. The same object as long as its address is in the cluster, whatever else changes. */
export interface Host {
  /** "10.0.0.1:80", "[::1]:80", "/path", or "envoy://NAME/ID" for an internal listener. */
  readonly address: string;
  readonly ip: string;
  readonly port: number;
  /** The name that was resolved; "" where an address was given. */
  readonly hostname: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly sub_zone: string };
  readonly priority: number;
  readonly weight: number;
  readonly endpoint: LbEndpoint;
  /** metadata.filter_metadata as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** By EDS, active checks and outlier detection together. */
  readonly health: "healthy" | "degraded" | "unhealthy";
  readonly activeRequests: number;
}

/** What a balancer wants to know of a request or connection. All of it may be absent. */
export interface LoadBalancerContext {
  /** Of the route's hash policies; undefined: at random. */
  readonly hash?: bigint | undefined;
  /** metadata_match of the route for "envoy.lb", as JSON. */
  readonly metadataMatch?: Readonly<Record<string, unknown>> | undefined;
  readonly downstream?: DownstreamConnection | undefined;
  /** Headers of the request, for ORIGINAL_DST by header and for dynamic forward proxies. */
  readonly headers?: HeaderList | undefined;
  readonly authority?: string | undefined;
  /** The very host that is wanted (persistent sessions), "IP:PORT", and whether no other will do. */
  readonly override?: { readonly address: string; readonly isStrict: boolean } | undefined;
  /** Hosts that an earlier attempt went to: another one is looked for, up to `maxReselections` times. */
  readonly avoid?: ReadonlySet<Host> | undefined;
  readonly maxReselections?: number | undefined;
  /** Priorities that were tried, for previous_priorities. */
  readonly triedPriorities?: readonly number[] | undefined;
}

/** Why nothing was sent, or no answer came. */
export type UpstreamFailure =
  | "no-cluster"
  | "no-healthy-upstream"
  | "overflow"
  | "connection-failure"
  | "connection-timeout"
  | "connection-termination"
  | "remote-reset"
  | "refused-stream"
  | "local-reset"
  /** It took longer than the cluster's max_stream_duration. */
  | "max-duration"
  | "protocol-error"
  | "dns-failure"
  /** drop_overloads of the load assignment asked for it: Envoy answers 503 "drop overload". */
  | "drop-overload"
  /** The same where all requests are dropped, which Envoy tells apart. */
  | "unconditional-drop-overload";

/** An attempt failed. `hasSentAnything` is false where the server cannot have seen any of the request. */
export class UpstreamError extends TracelessError {
  readonly failure: UpstreamFailure;
  readonly host: Host | undefined;
  readonly isSent: boolean;
  /** Envoy's "upstream transport failure reason", such as "TLS_error:|...:CERTIFICATE_VERIFY_FAILED". */
  readonly transportFailure: string;

  constructor(
    failure: UpstreamFailure,
    { host, isSent = false, transportFailure = "", cause }: UpstreamErrorOptions = {},
  ) {
    super("UpstreamError", transportFailure === "" ? failure : `${failure}: ${transportFailure}`, cause);
    this.failure = failure;
    this.host = host;
    this.isSent = isSent;
    this.transportFailure = transportFailure;
  }
}

export interface UpstreamErrorOptions {
  readonly host?: Host | undefined;
  readonly isSent?: boolean;
  readonly transportFailure?: string;
  readonly cause?: unknown;
}

/** The flag that a failure gives a request. */
export const flagOfFailure: Readonly<Record<UpstreamFailure, ResponseFlag>> = {
  "no-cluster": "NC",
  "no-healthy-upstream": "UH",
  overflow: "UO",
  "connection-failure": "UF",
  "connection-timeout": "UF",
  "connection-termination": "UC",
  "remote-reset": "UR",
  "refused-stream": "UR",
  "local-reset": "LR",
  "max-duration": "UMSDR",
  "protocol-error": "UPE",
  "dns-failure": "DF",
  "drop-overload": "DO",
  "unconditional-drop-overload": "UDO",
};

/** Envoy's name of the reason for which a request to an upstream is reset. */
export const reasonOfFailure: Readonly<Record<UpstreamFailure, string>> = {
  "no-cluster": "local reset",
  "no-healthy-upstream": "local reset",
  overflow: "overflow",
  "drop-overload": "local reset",
  "unconditional-drop-overload": "local reset",
  "connection-failure": "remote connection failure",
  "connection-timeout": "connection timeout",
  "connection-termination": "connection termination",
  "remote-reset": "remote reset",
  "refused-stream": "remote refused stream reset",
  "local-reset": "local reset",
  "max-duration": "local reset",
  "protocol-error": "protocol error",
  "dns-failure": "local connection failure",
};

/** A request as it goes out: all is said, the pool only encodes. */
export interface UpstreamRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: BodySource | undefined;
  readonly upgrade: string | undefined;
  /** Version that the client spoke, for clusters that follow it. */
  readonly downstreamProtocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  /** SNI and SANs that this request asks for in place of the cluster's (auto_sni, auto_san_validation). */
  readonly sni?: string | undefined;
  readonly sans?: readonly string[] | undefined;
  /** The client's connection, for PROXY protocol: clusters without that take no notice of it. */
  readonly downstream?: DownstreamConnection | undefined;
  /** 1xx responses other than 101. */
  readonly onInformation?: ((status: number, headers: HeaderList) => void) | undefined;
  /** The request's head has been written to a connection: "IP:PORT" of this end. */
  readonly onSent?: ((localAddress: string) => void) | undefined;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly headers: HeaderList;
  /** Undefined where there is none. Aborts with an UpstreamError. After an upgrade: the server's bytes. */
  readonly body: BodySource | undefined;
  readonly protocol: "HTTP/1.1" | "HTTP/2";
}

/**
 * Bytes of one request and its answer on the wire, with heads and framing. HTTP/2 counts only what is in bodies: the
 * platform does not tell how long its frames are.
 */
export interface Traffic {
  readonly sent: number;
  readonly received: number;
}

/** A request on its way: cancel() frees its place whatever its state is, and is harmless at the end. */
export interface PendingRequest {
  /** What it has cost on the wire until now; undefined where the bytes are not counted. */
  readonly traffic?: Traffic | undefined;
  /** Rejects with UpstreamError. */
  readonly response: Promise<UpstreamResponse>;
  cancel(): void;
}

/** What became of an attempt, for outlier detection. */
export type AttemptResult =
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "local-failure"; readonly failure: UpstreamFailure | "timeout" }
  | { readonly kind: "connected" };

/** One resource's limit at one priority: take() is false where it is reached (and counts the overflow). */
export interface Breaker {
  take(): boolean;
  release(): void;
}

export interface CircuitBreakers {
  readonly connections: Breaker;
  readonly pendingRequests: Breaker;
  readonly requests: Breaker;
  readonly retries: Breaker;
  /** Counts against a retry budget where one is configured: `active` are the requests under way. */
  readonly connectionPools: Breaker;
}

export interface UpstreamCluster {
  readonly name: string;
  /** As it came: what is not compiled can be read there. */
  readonly wire: Cluster;
  readonly stats: Stats;
  /** metadata.filter_metadata as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly connectTimeoutMs: number;
  /** Bytes; per_connection_buffer_limit_bytes, 1 MiB where not given. */
  readonly bufferLimit: number;
  /** The host for a request. UpstreamError where there is none. Asynchronous for dynamic forward proxies only. */
  chooseHost(context: LoadBalancerContext): Host | Promise<Host>;
  /**
   * Looks up the name that a request goes to, for clusters that have to: a filter may do so before a host is chosen, as a
   * name that is not found is no failure of an upstream. Undefined where it is known. UpstreamError where it is not found.
   */
  resolve?(context: LoadBalancerContext): Promise<unknown> | undefined;
  breakers(priority: "DEFAULT" | "HIGH"): CircuitBreakers;
  /** Sends a request over a pooled connection. Counts its statistics and gives the failure or status to outlier detection. */
  send(host: Host, request: UpstreamRequest, priority: "DEFAULT" | "HIGH"): PendingRequest;
  /** A connection for bytes, through the cluster's transport socket. Rejects with UpstreamError. */
  connect(host: Host, options: ConnectOptions): Promise<UpstreamConnection>;
  /** Tells outlier detection of what it cannot see itself, such as a timeout of the router. */
  report(host: Host, result: AttemptResult): void;
  listHosts(): readonly Host[];
  /** Connections and requests of a host, for /clusters; see HostPools. */
  describeHost?(host: Host): Readonly<Record<string, number>>;
}

export interface ConnectOptions {
  /** For PROXY protocol headers and for SNI that follows the client's. */
  readonly downstream?: DownstreamConnection | undefined;
  readonly sni?: string | undefined;
  readonly sans?: readonly string[] | undefined;
  /** ALPN protocols in place of the cluster's. */
  readonly alpn?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface UpstreamConnection {
  readonly stream: Duplex;
  readonly localAddress: string;
  close(): void;
}

/** All clusters. Filters hold this, never a cluster: one that changes is another object. */
export interface ClusterManager {
  find(name: string): UpstreamCluster | undefined;
  list(): readonly UpstreamCluster[];
}

/** What the xDS side does with clusters. */
export interface ClusterUpdates extends ClusterManager {
  /**
   * Compiles and warms a cluster: resolves when it is ready to be used in the place of the one of its name, which stays
   * in use until then. Throws ConfigError at once where it cannot be used. `initialFetchTimeoutMs` bounds the wait.
   */
  update(cluster: Cluster, origin: { readonly isStatic: boolean; readonly version: string }): Promise<void>;
  remove(name: string): void;
  /** Endpoints of an EDS cluster by its service name; undefined: the server says that there are none. ConfigError where they cannot be used. */
  setEndpoints(serviceName: string, assignment: ClusterLoadAssignment | undefined): void;
  /** Names of the load assignments that are wanted now, and a call whenever that changes. */
  wantedEndpoints(): readonly string[];
  onWantedEndpoints(run: () => void): void;
  /** Takes the statistics of clusters off the pages that were removed and have ended since. */
  sweepStats(stats: Pick<StatsRegistry, "forget">): void;
  close(): Promise<void>;
}
