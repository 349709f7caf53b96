/** Clusters that stand from the first moment: the agent's own servers, and those to which traces and records go. */
import type { JsonObject } from "../config/json.ts";
import type { Collector } from "./collectors.ts";
import { http2Options, loadAssignment, pipeAddress, singleUseOptions, socketAddress } from "./parts.ts";

export interface StaticClustersOptions {
  readonly localhost: string;
  readonly adminPort: number;
  readonly agentPort: number;
  readonly xdsSocket: string;
  readonly secretsSocket: string;
  /** Where the agent serves files, when somebody else serves the workload's secrets. */
  readonly filesSocket: string | undefined;
  readonly dnsLookupFamily: "V4_ONLY" | "V6_ONLY" | "ALL";
  readonly collectors: readonly Collector[];
  /** Endpoints of the workload's own service, for routing by zones. */
  readonly hasLocalCluster: boolean;
}

export function buildStaticClusters(options: StaticClustersOptions): readonly JsonObject[] {
  const { localhost, adminPort, agentPort, filesSocket } = options;
  return [
    buildLocal("prometheus_stats", socketAddress(localhost, adminPort)),
    buildLocal("agent", socketAddress(localhost, agentPort)),
    buildSecrets("sds-grpc", options.secretsSocket),
    ...(filesSocket === undefined ? [] : [buildSecrets("sds-files-grpc", filesSocket)]),
    buildDiscovery(options.xdsSocket),
    ...options.collectors.map((collector) => buildCollector(collector, options.dnsLookupFamily)),
    ...(options.hasLocalCluster ? [localCluster] : []),
  ];
}

/** The semicolon ends the name in statistics, where the label cluster_name is taken from. */
const named = (name: string): JsonObject => ({ name, alt_stat_name: `${name};` });

function buildLocal(name: string, address: JsonObject): JsonObject {
  return {
    ...named(name),
    type: "STATIC",
    connect_timeout: "0.250s",
    lb_policy: "ROUND_ROBIN",
    load_assignment: loadAssignment(name, address),
  };
}

function buildSecrets(name: string, socket: string): JsonObject {
  return {
    ...named(name),
    type: "STATIC",
    typed_extension_protocol_options: http2Options,
    connect_timeout: "1s",
    lb_policy: "ROUND_ROBIN",
    load_assignment: loadAssignment(name, pipeAddress(socket)),
  };
}

const noLimit = { max_connections: 100_000, max_pending_requests: 100_000, max_requests: 100_000 };

function buildDiscovery(socket: string): JsonObject {
  return {
    ...buildSecrets("xds-grpc", socket),
    circuit_breakers: {
      thresholds: [
        { priority: "DEFAULT", ...noLimit },
        { priority: "HIGH", ...noLimit },
      ],
    },
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } },
    typed_extension_protocol_options: singleUseOptions,
  };
}

function buildCollector(collector: Collector, family: StaticClustersOptions["dnsLookupFamily"]): JsonObject {
  const { name, address, tls, keepalive } = collector;
  return {
    ...named(name),
    ...(tls === undefined ? {} : { transport_socket: tls }),
    ...(keepalive === undefined ? {} : { upstream_connection_options: keepalive }),
    type: "STRICT_DNS",
    respect_dns_ttl: true,
    dns_lookup_family: family,
    ...(collector.dnsRefreshRate === undefined ? {} : { dns_refresh_rate: collector.dnsRefreshRate }),
    connect_timeout: "1s",
    lb_policy: "ROUND_ROBIN",
    ...(collector.isHttp2 ? { typed_extension_protocol_options: http2Options } : {}),
    load_assignment: loadAssignment(name, socketAddress(address.host, address.port)),
  };
}

const localCluster: JsonObject = {
  ...named("local_cluster"),
  type: "EDS",
  connect_timeout: "1s",
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: {
          name: "envoy.load_balancing_policies.least_request",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
            locality_lb_config: { zone_aware_lb_config: { min_cluster_size: "1" } },
          },
        },
      },
    ],
  },
  eds_cluster_config: {
    eds_config: { ads: {}, resource_api_version: "V3" },
    service_name: "local_cluster",
  },
};
