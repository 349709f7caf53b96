/** Clusters and their endpoints as resources. */
import { encode, fromJson } from "@meltemi/protos";
import type { ClusterSpec, EndpointSpec } from "./world.ts";

/** Ports of upstreams by their name. */
export type Ports = ReadonlyMap<string, number>;

const optionsType = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

export function buildCluster(spec: ClusterSpec, ports: Ports): Uint8Array {
  const json = {
    name: spec.name,
    ...(spec.isByEds
      ? { type: "EDS", eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } } }
      : { type: "STATIC", load_assignment: describeAssignment(spec, ports) }),
    lb_policy: spec.policy,
    // Only what is refused at once is to fail: the machine may be slow.
    connect_timeout: "10s",
    common_lb_config: { healthy_panic_threshold: { value: spec.panicThreshold } },
    circuit_breakers: {
      thresholds: [
        {
          priority: "DEFAULT",
          max_connections: 10_000,
          max_pending_requests: 10_000,
          max_requests: 10_000,
          max_retries: 10_000,
        },
      ],
    },
    ...(spec.fallback === undefined ? {} : { lb_subset_config: describeSubsets(spec.fallback) }),
    ...(spec.protocol === "http2"
      ? {
          typed_extension_protocol_options: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": optionsType,
              explicit_http_config: { http2_protocol_options: { allow_connect: true } },
            },
          },
        }
      : {}),
  };
  return encode("envoy.config.cluster.v3.Cluster", fromJson("envoy.config.cluster.v3.Cluster", json));
}

export function buildAssignment(spec: ClusterSpec, ports: Ports): Uint8Array {
  const name = "envoy.config.endpoint.v3.ClusterLoadAssignment";
  return encode(name, fromJson(name, describeAssignment(spec, ports)));
}

function describeAssignment({ name, endpoints }: ClusterSpec, ports: Ports): object {
  const groups = ([0, 1] as const).map((priority) => ({
    priority,
    locality: { zone: `zone-${priority}` },
    lb_endpoints: endpoints
      .filter((endpoint) => endpoint.priority === priority)
      .map((endpoint) => describeEndpoint(endpoint, ports)),
  }));
  // A priority may be empty where a higher one is not.
  return {
    cluster_name: name,
    endpoints: groups.filter((group, index) => index === 0 || group.lb_endpoints.length > 0),
  };
}

function describeEndpoint({ upstream, health, weight, version }: EndpointSpec, ports: Ports): object {
  const port = ports.get(upstream);
  if (port === undefined) throw new Error(`there is no upstream ${upstream}`);
  return {
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    health_status: health,
    load_balancing_weight: weight,
    metadata: { filter_metadata: { "envoy.lb": { version } } },
  };
}

function describeSubsets(fallback: NonNullable<ClusterSpec["fallback"]>): object {
  const selectors = { subset_selectors: [{ keys: ["version"] }] };
  if (fallback === "none") return { ...selectors, fallback_policy: "NO_FALLBACK" };
  if (fallback === "any") return { ...selectors, fallback_policy: "ANY_ENDPOINT" };
  return { ...selectors, fallback_policy: "DEFAULT_SUBSET", default_subset: { version: fallback } };
}
