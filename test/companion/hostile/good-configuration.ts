/** The configuration that is to stay in use whatever comes after it. */
import { packAny, type TypeName } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import { createSelfSigned } from "../../../tools/run/certificate.ts";

export interface Places {
  readonly port: number;
  readonly tlsPort: number;
  readonly upstreamPort: number;
}

export interface NamedResource {
  readonly name: string;
  readonly resource: Any;
}

/** The types in the order in which they are sent. */
export const kinds = {
  clusters: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  listeners: "envoy.config.listener.v3.Listener",
  routes: "envoy.config.route.v3.RouteConfiguration",
} as const satisfies Readonly<Record<string, TypeName>>;
export type Kind = keyof typeof kinds;

type GoodConfiguration = Readonly<Record<Kind, readonly NamedResource[]>>;

const certificate = createSelfSigned(["shop.test"], Date.now());
const ads = { ads: {}, resource_api_version: "V3" } as const;
const clusterNames = ["small", "large", "sink"] as const;
/**
 * Requests at once, above which Envoy answers 503. For long answers few, as each that nobody reads takes megabytes of the
 * kernel's memory for sockets, whose end would slow all connections of this machine down.
 */
const mostRequests = { small: 1_024, large: 50, sink: 1_024 } as const;

/** Host of a direct answer of the edition: whoever gets 200 from it knows that the edition is in use. */
export const hostOfEdition = (edition: number): string => `edition-${edition}.test`;

export function buildGoodConfiguration({ port, tlsPort, upstreamPort }: Places, edition: number): GoodConfiguration {
  const pack = (kind: Kind, name: string, message: object): NamedResource => ({
    name,
    resource: packAny(kinds[kind], message),
  });
  return {
    clusters: clusterNames.map((name) =>
      pack("clusters", name, {
        name,
        type: "EDS",
        eds_cluster_config: { eds_config: ads },
        connect_timeout: seconds(5),
        circuit_breakers: { thresholds: [buildThresholds(mostRequests[name])] },
      }),
    ),
    endpoints: clusterNames.map((cluster_name) => {
      const address = { socket_address: { address: "127.0.0.1", port_value: upstreamPort } };
      return pack("endpoints", cluster_name, {
        cluster_name,
        endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
      });
    }),
    listeners: [
      pack("listeners", "plain", buildListener("plain", port, {})),
      pack("listeners", "secure", buildListener("secure", tlsPort, { transport_socket: buildTls() })),
    ],
    routes: [pack("routes", "routes", buildRoutes(edition))],
  };
}

function buildThresholds(most: number) {
  return { max_connections: { value: most }, max_requests: { value: most }, max_pending_requests: { value: most } };
}

const seconds = (count: number) => ({ seconds: String(count) });

function buildListener(name: string, port: number, chain: object): object {
  const prefix = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const router = packAny("envoy.extensions.filters.http.router.v3.Router", {});
  const manager = packAny(prefix, {
    stat_prefix: name,
    rds: { route_config_name: "routes", config_source: ads },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: router }],
  });
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [
      { ...chain, filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] },
    ],
  };
}

function buildTls(): object {
  const certificates = [
    {
      certificate_chain: { inline_string: certificate.certificatePem },
      private_key: { inline_string: certificate.privateKeyPem },
    },
  ];
  const common_tls_context = { alpn_protocols: ["h2", "http/1.1"], tls_certificates: certificates };
  const typed_config = packAny("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    common_tls_context,
  });
  return { name: "envoy.transport_sockets.tls", typed_config };
}

function buildRoutes(edition: number) {
  return {
    name: "routes",
    virtual_hosts: [
      {
        name: "shop",
        domains: ["shop.test"],
        routes: clusterNames.map((name) => ({
          match: { prefix: `/${name}` },
          route: { cluster: name, timeout: seconds(0) },
        })),
      },
      {
        name: "edition",
        domains: [hostOfEdition(edition)],
        routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }],
      },
    ],
  };
}
