/** A proxy before the echo server, with every way in: plain, TLS, HTTP/2, and one on which no upgrade is taken. */

import { holdPorts } from "../../../tools/free-ports.ts";
import { createSelfSigned } from "../../../tools/run/certificate.ts";
import type { DataPlane } from "../../envoy/envoy-process.ts";
import { type StaticPlane, startStaticPlane } from "../static-plane.ts";

export interface WebSocketPlane {
  readonly proxy: StaticPlane;
  readonly ports: Readonly<Record<Way, number>>;
  stop(): Promise<void>;
}

const ways = ["plain", "tls", "http2", "closed"] as const;
export type Way = (typeof ways)[number];

const { certificatePem, privateKeyPem } = createSelfSigned(["chat.test"], Date.now());

const wayOptions: Readonly<Record<Way, object>> = {
  plain: { upgrade_configs: [{ upgrade_type: "websocket" }] },
  tls: { upgrade_configs: [{ upgrade_type: "websocket" }] },
  http2: {
    codec_type: "HTTP2",
    upgrade_configs: [{ upgrade_type: "websocket" }],
    http2_protocol_options: { allow_connect: true },
  },
  closed: {},
};

export interface WebSocketPlaneOptions {
  readonly plane: DataPlane;
  readonly upstreamPort: number;
  readonly nodeFlags?: readonly string[];
}

export async function startWebSocketPlane(options: WebSocketPlaneOptions): Promise<WebSocketPlane> {
  const { plane, upstreamPort, nodeFlags = [] } = options;
  const held = await holdPorts(ways.length + 1);
  const [adminPort = 0, plain = 0, tls = 0, http2 = 0, closed = 0] = held.ports;
  const ports = { plain, tls, http2, closed };
  const bootstrap = {
    static_resources: {
      listeners: ways.map((way) => buildListener(way, ports[way])),
      clusters: [buildCluster(upstreamPort)],
    },
  };
  const proxy = await startStaticPlane({ plane, adminPort, bootstrap, nodeFlags }).catch(async (cause: unknown) => {
    await held.release();
    throw cause;
  });
  return {
    proxy,
    ports,
    async stop() {
      await proxy.stop();
      await held.release();
    },
  };
}

function buildListener(way: Way, port: number): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: way,
    ...wayOptions[way],
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, route: { cluster: "echo", timeout: "0s" } }],
        },
      ],
    },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const filters = [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }];
  return {
    name: way,
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [way === "tls" ? { filters, transport_socket: buildTls() } : { filters }],
  };
}

function buildTls(): object {
  const certificate = {
    certificate_chain: { inline_string: certificatePem },
    private_key: { inline_string: privateKeyPem },
  };
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      common_tls_context: { tls_certificates: [certificate] },
    },
  };
}

function buildCluster(port: number): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return {
    name: "echo",
    type: "STATIC",
    connect_timeout: "10s",
    load_assignment: { cluster_name: "echo", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
