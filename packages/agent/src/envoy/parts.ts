/** Pieces that several parts of the bootstrap are made of; wire objects, in Envoy's own words. */
import type { JsonObject } from "../config/json.ts";

const typePrefix = "type.googleapis.com/";

/** A message of the type in a field of type Any. */
export function typed(type: string, fields: JsonObject = {}): JsonObject {
  return { "@type": `${typePrefix}${type}`, ...fields };
}

/** A named extension with its configuration. */
export function extension(name: string, type: string, fields: JsonObject = {}): JsonObject {
  return { name, typed_config: typed(type, fields) };
}

export function socketAddress(address: string, port: number): JsonObject {
  return { socket_address: { protocol: "TCP", address, port_value: port } };
}

export function pipeAddress(path: string): JsonObject {
  return { pipe: { path } };
}

/** One endpoint is all that clusters of the bootstrap have. */
export function loadAssignment(cluster: string, address: JsonObject): JsonObject {
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
}

const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Speaks HTTP/2 to the cluster. */
export const http2Options: JsonObject = buildHttp2Options({});

/** Each stream gets a connection of its own. */
export const singleUseOptions: JsonObject = buildHttp2Options({
  common_http_protocol_options: { max_requests_per_connection: 1 },
});

function buildHttp2Options(more: JsonObject): JsonObject {
  return {
    [protocolOptions]: typed(protocolOptions, { ...more, explicit_http_config: { http2_protocol_options: {} } }),
  };
}

/** A secret that the agent serves. */
export function sdsSecret(name: string): JsonObject {
  return {
    name,
    sds_config: {
      api_config_source: {
        api_type: "GRPC",
        grpc_services: [{ envoy_grpc: { cluster_name: "sds-grpc" } }],
        set_node_on_first_message_only: true,
        transport_api_version: "V3",
      },
      // Listeners that need the secret wait for it, however long the CA takes.
      initial_fetch_timeout: "0s",
      resource_api_version: "V3",
    },
  };
}
