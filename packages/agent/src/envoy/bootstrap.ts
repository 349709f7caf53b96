/**
 * Envoy's first configuration beside an agent (envoy.config.bootstrap.v3.Bootstrap): who it is, where the agent's sockets
 * are, and what does not come over xDS. Names and values are those of Istio's bootstrap, which control planes, dashboards
 * and people rely on (tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap).
 */
import { findLocalAddresses } from "../config/addresses.ts";
import { type JsonObject, readObject, readText } from "../config/json.ts";
import type { ProxyNode } from "../config/node.ts";
import type { ProxyConfig } from "../config/proxy-config.ts";
import { buildCollectors } from "./collectors.ts";
import { extension, socketAddress } from "./parts.ts";
import { buildRuntime, findConnectionLimit } from "./runtime.ts";
import { buildStaticClusters } from "./static-clusters.ts";
import { buildStaticListeners } from "./static-listeners.ts";
import { buildStatistics } from "./statistics.ts";

export interface BootstrapSources {
  readonly node: ProxyNode;
  readonly config: ProxyConfig;
  readonly addresses: readonly string[];
  /** Listens on both families where the pod has both. */
  readonly isDualStack: boolean;
  /** Where Envoy's own listeners answer; all addresses where "". */
  readonly listenAddress: string;
  readonly hostIp: string;
  readonly statusPort: number;
  readonly prometheusPort: number;
  readonly secureMetricsPort: number;
  readonly secureMergedMetricsPort: number;
  readonly takesProxyProtocol: boolean;
  /** EXIT_ON_ZERO_ACTIVE_CONNECTIONS */
  readonly countsConnections: boolean;
  readonly stripsFragments: boolean;
  readonly compliancePolicy: string;
  readonly xdsSocket: string;
  readonly secretsSocket: string;
  readonly filesSocket: string | undefined;
  readonly logAsJson: boolean;
  readonly outlierLogPath: string;
}

/** Throws ConfigError for an address that cannot be understood. */
export function buildBootstrap(sources: BootstrapSources): JsonObject {
  const { node, config } = sources;
  const { localhost, otherFamily, ...local } = findLocalAddresses(sources);
  const hasListenAddress = sources.listenAddress !== "";
  const collectors = buildCollectors({
    config: config.fields,
    metadata: node.metadata,
    hostIp: sources.hostIp,
    cluster: node.cluster,
  });
  const hasLocalCluster = node.metadata["ENABLE_SELF_DISCOVERY"] === "true";
  return {
    application_log_config: { log_format: buildLogFormat(sources.logAsJson) },
    node: { id: node.id, cluster: node.cluster, locality: { ...node.locality }, metadata: node.metadata },
    layered_runtime: buildRuntime({ ...sources, config: config.fields }),
    bootstrap_extensions: [internalListeners],
    ...buildStatistics({
      config: config.fields,
      annotations: readObject(node.metadata, "ANNOTATIONS"),
      addresses: sources.addresses,
      countsConnections: sources.countsConnections,
    }),
    admin: buildAdmin(localhost, config.proxyAdminPort),
    dynamic_resources: dynamicResources,
    static_resources: {
      clusters: buildStaticClusters({
        localhost,
        adminPort: config.proxyAdminPort,
        agentPort: config.statusPort,
        xdsSocket: sources.xdsSocket,
        secretsSocket: sources.secretsSocket,
        filesSocket: sources.filesSocket,
        dnsLookupFamily: local.dnsLookupFamily,
        collectors: collectors.clusters,
        hasLocalCluster,
      }),
      listeners: buildStaticListeners({
        ...sources,
        localhost,
        wildcard: hasListenAddress ? sources.listenAddress : local.wildcard,
        otherFamily: hasListenAddress ? undefined : otherFamily,
        isLocalMetrics: config.proxyMetadata["METRICS_LOCALHOST_ACCESS_ONLY"] === "true",
        compressesMetrics: config.fields["statsCompression"] !== false,
      }),
    },
    overload_manager: buildOverloadManager(config),
    ...(collectors.tracing === undefined ? {} : { tracing: collectors.tracing }),
    ...(collectors.sinks.length === 0 ? {} : { stats_sinks: collectors.sinks }),
    ...buildClusterManager(sources, hasLocalCluster),
    deferred_stat_options: { enable_deferred_creation_stats: true },
  };
}

function buildLogFormat(logAsJson: boolean): JsonObject {
  if (!logAsJson) return { text_format: "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t" };
  return {
    json_format: {
      time: "%Y-%m-%dT%T.%fZ",
      level: "%l",
      scope: "envoy %n",
      msg: "%j",
      caller: "%g:%#",
      thread: "%t",
    },
  };
}

/** Listeners inside of Envoy (gateways' and tunnels'), with room for 64 KiB on the way. */
const internalListeners = extension(
  "envoy.bootstrap.internal_listener",
  "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
  { buffer_size_kb: 64 },
);

function buildAdmin(localhost: string, port: number): JsonObject {
  const log = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
  return {
    access_log: [extension("envoy.access_loggers.file", log, { path: "/dev/null" })],
    profile_path: "/var/lib/istio/data/envoy.prof",
    address: socketAddress(localhost, port),
  };
}

const dynamicResources: JsonObject = {
  // No timeout: a proxy that cannot reach its control plane yet waits for it instead of starting empty.
  lds_config: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
  cds_config: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
  ads_config: {
    api_type: "DELTA_GRPC",
    set_node_on_first_message_only: true,
    transport_api_version: "V3",
    grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
  },
};

function buildOverloadManager({ fields }: ProxyConfig): JsonObject {
  const type = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig";
  const name = "envoy.resource_monitors.global_downstream_max_connections";
  return {
    resource_monitors: [extension(name, type, { max_active_downstream_connections: findConnectionLimit(fields) })],
  };
}

function buildClusterManager({ outlierLogPath, node }: BootstrapSources, hasLocalCluster: boolean): JsonObject {
  const loadStats = parseLoadStats(readText(node.metadata, "LOAD_STATS_CONFIG_JSON"));
  if (outlierLogPath === "" && !hasLocalCluster && loadStats === undefined) return {};
  return {
    cluster_manager: {
      ...(hasLocalCluster ? { local_cluster_name: "local_cluster" } : {}),
      ...(outlierLogPath === "" ? {} : { outlier_detection: { event_log_path: outlierLogPath } }),
      ...(loadStats === undefined ? {} : { load_stats_config: loadStats }),
      enable_deferred_cluster_creation: true,
    },
  };
}

/** Where load reports go; what is no JSON is left out. */
function parseLoadStats(text: string | undefined): JsonObject | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as JsonObject);
  } catch {
    return undefined;
  }
}
