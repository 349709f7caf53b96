/** The configuration of the bench, which Envoy and the companion proxy take as it is. */
import type { UpstreamName, UpstreamPorts } from "./upstream-process.ts";

export const listenerNames = ["http", "tls", "http2", "tcp"] as const;
export type ListenerName = (typeof listenerNames)[number];

/** A certificate for localhost with its key, and what it leads to, in PEM. */
export interface ServingCertificate {
  readonly chain: string;
  readonly privateKey: string;
  readonly roots: string;
}

const extensions = "type.googleapis.com/envoy.extensions";

const http2Options = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": `${extensions}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/**
 * Listeners on ports that the system chooses, with an HTTP connection manager and a router and nothing else: no access
 * log, no limits and no sizes of buffers that are not a proxy's own.
 */
export function buildBenchBootstrap(ports: UpstreamPorts, certificate: ServingCertificate): object {
  const http = buildManager("AUTO");
  return {
    admin: { address: buildAddress(0) },
    static_resources: {
      listeners: [
        buildListener("http", { filters: [http] }),
        buildListener("tls", { filters: [http], transport_socket: buildTlsSocket(certificate) }),
        buildListener("http2", { filters: [buildManager("HTTP2")] }),
        buildListener("tcp", { filters: [buildTcpProxy()] }),
      ],
      clusters: [
        buildCluster("small", ports),
        buildCluster("large", ports),
        buildCluster("upload", ports),
        { ...buildCluster("http2", ports), typed_extension_protocol_options: http2Options },
        buildCluster("tcp", ports),
      ],
    },
  };
}

function buildListener(name: ListenerName, chain: object): object {
  return { name, address: buildAddress(0), filter_chains: [chain] };
}

function buildManager(codec: "AUTO" | "HTTP2"): object {
  const routes = (["small", "large", "upload", "http2"] as const).map((cluster) => ({
    match: { prefix: `/${cluster}` },
    route: { cluster },
  }));
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: {
      "@type": `${extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: "bench",
      codec_type: codec,
      route_config: { name: "bench", virtual_hosts: [{ name: "bench", domains: ["*"], routes }] },
      http_filters: [
        {
          name: "envoy.filters.http.router",
          typed_config: { "@type": `${extensions}.filters.http.router.v3.Router` },
        },
      ],
    },
  };
}

function buildTcpProxy(): object {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: {
      "@type": `${extensions}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: "bench",
      cluster: "tcp",
    },
  };
}

function buildTlsSocket({ chain, privateKey }: ServingCertificate): object {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": `${extensions}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: privateKey } }],
        alpn_protocols: ["http/1.1"],
      },
    },
  };
}

function buildCluster(name: UpstreamName, ports: UpstreamPorts): object {
  const endpoint = { endpoint: { address: buildAddress(ports[name]) } };
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}

function buildAddress(port: number): object {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}
