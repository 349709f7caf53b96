/** Listeners that stand from the first moment: metrics on 15090, readiness on 15021, and metrics with mutual TLS. */
import type { JsonObject } from "../config/json.ts";
import { extension, sdsSecret, socketAddress } from "./parts.ts";

export interface StaticListenersOptions {
  /** Address that stands for all of the machine: "0.0.0.0" or "::". */
  readonly wildcard: string;
  readonly localhost: string;
  /** The other family's, where the pod has both and both are listened on. */
  readonly otherFamily: { readonly wildcard: string; readonly localhost: string } | undefined;
  readonly statusPort: number;
  readonly prometheusPort: number;
  /** 0: none. */
  readonly secureMetricsPort: number;
  /** 0: none. */
  readonly secureMergedMetricsPort: number;
  /** Metrics are for this pod alone. */
  readonly isLocalMetrics: boolean;
  readonly compressesMetrics: boolean;
  /** The port of readiness takes the PROXY protocol as well. */
  readonly takesProxyProtocol: boolean;
}

export function buildStaticListeners(options: StaticListenersOptions): readonly JsonObject[] {
  const { secureMetricsPort, secureMergedMetricsPort } = options;
  return [
    buildMetricsListener(options),
    ...(secureMetricsPort === 0
      ? []
      : [buildSecureListener(options, secureMetricsPort, "secure_stats", [route("/stats/prometheus", metrics)])]),
    ...(secureMergedMetricsPort === 0
      ? []
      : [
          buildSecureListener(options, secureMergedMetricsPort, "secure_merged_stats", [
            route("/stats/prometheus", agent),
            route("/metrics", agent),
          ]),
        ]),
    buildReadinessListener(options),
  ];
}

const metrics = "prometheus_stats";
const agent = "agent";

function buildMetricsListener(options: StaticListenersOptions): JsonObject {
  const { isLocalMetrics, otherFamily, prometheusPort } = options;
  const pick = isLocalMetrics ? "localhost" : "wildcard";
  const filters = options.compressesMetrics ? compressors : [];
  return {
    ...buildListener(options[pick], prometheusPort, otherFamily?.[pick]),
    filter_chains: [
      { filters: [buildHttpFilter("stats", { routes: [route("/stats/prometheus", metrics)], filters })] },
    ],
  };
}

function buildReadinessListener(options: StaticListenersOptions): JsonObject {
  const inspector = extension(
    "envoy.filters.listener.proxy_protocol",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    { allow_requests_without_proxy_protocol: true },
  );
  return {
    ...buildListener(options.wildcard, options.statusPort, options.otherFamily?.wildcard),
    ...(options.takesProxyProtocol ? { listener_filters: [inspector] } : {}),
    filter_chains: [{ filters: [buildHttpFilter("agent", { routes: [route("/healthz/ready", agent)], filters: [] })] }],
  };
}

function buildSecureListener(
  { wildcard }: StaticListenersOptions,
  port: number,
  ...[prefix, routes]: readonly [string, readonly JsonObject[]]
): JsonObject {
  const context = {
    require_client_certificate: true,
    common_tls_context: {
      tls_certificate_sds_secret_configs: [sdsSecret("default")],
      combined_validation_context: {
        default_validation_context: {},
        validation_context_sds_secret_config: sdsSecret("ROOTCA"),
      },
    },
  };
  const socket = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const inspector = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
  return {
    ...buildListener(wildcard, port, undefined),
    listener_filters: [extension("envoy.filters.listener.tls_inspector", inspector)],
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: "tls" },
        transport_socket: extension("envoy.transport_sockets.tls", socket, context),
        filters: [buildHttpFilter(prefix, { routes, filters: [] })],
      },
    ],
  };
}

/** Neither a limit of connections nor an overload may keep the kubelet and Prometheus away. */
function buildListener(address: string, port: number, other: string | undefined): JsonObject {
  return {
    name: `${address}_${port}`,
    address: socketAddress(address, port),
    ...(other === undefined ? {} : { additional_addresses: [{ address: socketAddress(other, port) }] }),
    ignore_global_conn_limit: true,
    bypass_overload_manager: true,
  };
}

const route = (prefix: string, cluster: string): JsonObject => ({ match: { prefix }, route: { cluster } });

interface HttpParts {
  readonly routes: readonly JsonObject[];
  readonly filters: readonly JsonObject[];
}

function buildHttpFilter(prefix: string, { routes, filters }: HttpParts): JsonObject {
  return extension(
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      codec_type: "AUTO",
      stat_prefix: prefix,
      route_config: { virtual_hosts: [{ name: "backend", domains: ["*"], routes }] },
      http_filters: [
        ...filters,
        extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router"),
      ],
    },
  );
}

const compressedTypes = [
  "text/plain",
  "application/vnd.google.protobuf",
  "application/openmetrics-text",
  "application/openmetrics-protobuf",
];

/** The last filter meets the answer first: of what the client takes, gzip is tried first. */
const compressors = (
  [
    ["brotli", "envoy.extensions.compression.brotli.compressor.v3.Brotli"],
    ["zstd", "envoy.extensions.compression.zstd.compressor.v3.Zstd"],
    ["gzip", "envoy.extensions.compression.gzip.compressor.v3.Gzip"],
  ] as const
).map(([name, type]) =>
  extension(`envoy.filters.http.compressor.${name}`, "envoy.extensions.filters.http.compressor.v3.Compressor", {
    compressor_library: extension(`stats_${name}`, type),
    response_direction_config: { common_config: { content_type: compressedTypes } },
  }),
);
