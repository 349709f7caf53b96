/** The configurations that malformed requests are sent to: the same listeners in both proxies. */

interface ProfileSettings {
  readonly common_http_protocol_options?: object;
  readonly [field: string]: unknown;
}

/** Fields of the connection manager by name of the profile. */
export const profiles = {
  /** As it is without any setting. */
  plain: {},
  /** What Istio sets. */
  mesh: { normalize_path: true },
  /** What Envoy's documentation asks of an edge. */
  hardened: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST" },
    strip_any_host_port: true,
  },
  /** Changes as much of a path as can be changed. */
  forward: {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
    common_http_protocol_options: { headers_with_underscores_action: "DROP_HEADER" },
    strip_trailing_host_dot: true,
  },
  /** Takes what is not taken otherwise. */
  lenient: {
    http_protocol_options: {
      accept_http_10: true,
      default_host_for_http_10: "old",
      allow_chunked_length: true,
      enable_trailers: true,
      allow_custom_methods: true,
    },
  },
  upgrades: {
    upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "CONNECT" }],
    http2_protocol_options: { allow_connect: true },
  },
} as const satisfies Readonly<Record<string, ProfileSettings>>;

export type Profile = keyof typeof profiles;
export const profileNames = Object.keys(profiles) as readonly Profile[];

/** What waits for more is answered or cut after this time; long for a proxy that has all it needs, on any machine. */
const patience = "2s";

export interface LaneOptions {
  readonly name: string;
  readonly codec: "HTTP1" | "HTTP2";
  readonly ports: Readonly<Record<Profile, number>>;
  /** Of a listener for HTTP/1.1, whatever the codec of the others. */
  readonly barrierPort: number;
  readonly upstreamPort: number;
}

/** Listeners with one upstream: what is asked through them is seen there and nowhere else. */
export function buildLanes(lanes: readonly LaneOptions[]): object {
  return {
    static_resources: { listeners: lanes.flatMap(buildListeners), clusters: lanes.map(buildCluster) },
  };
}

function buildListeners({ name, codec, ports, barrierPort }: LaneOptions): readonly object[] {
  const listeners = profileNames.map((profile) =>
    buildListener(`${name}-${profile}`, ports[profile], buildManager(codec, name, profile)),
  );
  return [...listeners, buildListener(`${name}-barrier`, barrierPort, buildManager("HTTP1", name, "plain"))];
}

function buildListener(name: string, port: number, manager: object): object {
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
  };
}

function buildManager(codec: LaneOptions["codec"], cluster: string, profile: Profile): object {
  const routes = [
    { match: { connect_matcher: {} }, route: { cluster, timeout: patience } },
    { match: { prefix: "/" }, route: { cluster, timeout: patience } },
  ];
  const settings: ProfileSettings = profiles[profile];
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "asked",
    codec_type: codec,
    request_headers_timeout: patience,
    request_timeout: patience,
    stream_idle_timeout: patience,
    delayed_close_timeout: "0.1s",
    ...settings,
    common_http_protocol_options: { ...settings.common_http_protocol_options, idle_timeout: patience },
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
}

function buildCluster({ name, upstreamPort }: LaneOptions): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: upstreamPort } };
  return {
    name,
    type: "STATIC",
    connect_timeout: "10s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
}
