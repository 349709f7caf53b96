/**
 * The first configuration of an Envoy without an agent: who it is and where its control plane listens. Everything else
 * arrives over xDS. Names of clusters and metadata are Istio's (tools/packaging/common/envoy_bootstrap.json).
 */
import type { ProxyType } from "../model/proxy.ts";

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export interface DiscoveryTls {
  /** Directory as `meltemi certificate` writes it, as the proxy sees it. Envoy reads it again when it is written again. */
  readonly directory: string;
  /** Name that the control plane's certificate must have. */
  readonly serverName: string;
}

export interface BootstrapOptions {
  /** Name of the workload: for a pod, the pod's name. */
  readonly name: string;
  readonly namespace: string;
  readonly type: ProxyType;
  /** Address of the workload itself, by which the control plane knows its services. */
  readonly ip: string;
  readonly domain: string;
  readonly clusterId: string;
  readonly labels: { readonly [name: string]: string };
  readonly serviceAccount: string;
  /** How traffic reaches the proxy; NONE: applications call it by address. */
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  /** Port of an HTTP proxy for the workload's outgoing requests, where interception is NONE. */
  readonly httpProxyPort?: number;
  /** "region/zone/subzone" */
  readonly locality?: string;
  /** Address of the control plane's xDS port: in plain text, or with `tls` the one with TLS. */
  readonly discovery: HostAndPort;
  /** How the proxy proves who it is, and whom it believes; xDS goes in plain text where not given. */
  readonly tls?: DiscoveryTls;
  /** Incremental xDS instead of state of the world. */
  readonly delta: boolean;
  /** Envoy's own administration pages, on the loopback address. */
  readonly adminPort: number;
  /** Path of the Unix socket on which the workload's certificates are served; that of Istio's agent where not given. */
  readonly secretsSocket?: string;
}

/** Builds Envoy's bootstrap (envoy.config.bootstrap.v3.Bootstrap as JSON) for one workload. */
export function buildEnvoyBootstrap(options: BootstrapOptions): object {
  return {
    node: buildNode(options),
    admin: { address: socketAddress({ host: "127.0.0.1", port: options.adminPort }) },
    dynamic_resources: {
      ads_config: {
        api_type: options.delta ? "DELTA_GRPC" : "GRPC",
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: "xds-grpc" } }],
      },
      // No timeout: a proxy that cannot reach its control plane yet waits for it instead of starting empty.
      cds_config: { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" },
      lds_config: { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" },
    },
    static_resources: {
      clusters: [buildDiscoveryCluster(options), buildSecretsCluster(options.secretsSocket)],
    },
  };
}

function buildNode(options: BootstrapOptions): object {
  const { name, namespace, type, ip, domain, labels } = options;
  return {
    id: `${type}~${ip}~${name}.${namespace}~${namespace}.svc.${domain}`,
    cluster: `${labels["app"] ?? name}.${namespace}`,
    ...(options.locality === undefined ? {} : { locality: buildLocality(options.locality) }),
    metadata: {
      NAMESPACE: namespace,
      CLUSTER_ID: options.clusterId,
      LABELS: labels,
      SERVICE_ACCOUNT: options.serviceAccount,
      INSTANCE_IPS: ip,
      INTERCEPTION_MODE: options.interceptionMode,
      ...(options.httpProxyPort === undefined ? {} : { HTTP_PROXY_PORT: String(options.httpProxyPort) }),
    },
  };
}

function buildLocality(text: string): object {
  const [region = "", zone = "", subZone = ""] = text.split("/");
  return { region, zone, sub_zone: subZone };
}

function buildDiscoveryCluster({ discovery, tls }: Pick<BootstrapOptions, "discovery" | "tls">): object {
  return {
    name: "xds-grpc",
    type: "STRICT_DNS",
    connect_timeout: "1s",
    load_assignment: {
      cluster_name: "xds-grpc",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(discovery) } }] }],
    },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: {
          // Finds out within half a minute that a control plane is gone without a word.
          http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "10s" } },
        },
      },
    },
    ...(tls === undefined ? {} : { transport_socket: buildDiscoverySocket(tls) }),
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } },
  };
}

function buildDiscoverySocket({ directory, serverName }: DiscoveryTls): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      sni: serverName,
      common_tls_context: {
        alpn_protocols: ["h2"],
        tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
        tls_certificate_sds_secret_configs: [buildFileSecret(directory, "certificate")],
        combined_validation_context: {
          default_validation_context: {
            match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: serverName } }],
          },
          validation_context_sds_secret_config: buildFileSecret(directory, "roots"),
        },
      },
    },
  };
}

/** Secrets in files: Envoy reads them again when they are replaced, certificates and keys with them. */
function buildFileSecret(directory: string, name: string): object {
  return {
    name,
    sds_config: {
      resource_api_version: "V3",
      path_config_source: { path: `${directory}/${name}.json`, watched_directory: { path: directory } },
    },
  };
}

/**
 * Certificates of the workload come from a Unix socket, on which Istio's agent or SPIRE serves them. It has to be known by
 * name even where nobody serves: Envoy refuses listeners that name a cluster it has not.
 */
function buildSecretsCluster(path = "./var/run/secrets/workload-spiffe-uds/socket"): object {
  return {
    name: "sds-grpc",
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: {
      cluster_name: "sds-grpc",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path } } } }] }],
    },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
}

function socketAddress({ host, port }: HostAndPort): object {
  return { socket_address: { address: host, port_value: port } };
}
