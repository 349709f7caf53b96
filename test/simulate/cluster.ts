/** What the proxy knows of a cluster: how it is found, how it is spoken to, and where it is. */
import { structToJson, typeNameOf, unpackAs } from "@meltemi/protos";
import type { Cluster, Cluster_TransportSocketMatch } from "@meltemi/protos/envoy/config/cluster/v3";
import type { TransportSocket } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment, LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { UpstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { joinHostPort } from "../../src/lib/host-port.ts";
import { readAddress } from "./listener.ts";
import type { Upstream } from "./outcome.ts";
import type { ProxyResources } from "./resources.ts";

interface Security {
  readonly kind: "plain" | "tls" | "mtls";
  readonly sni: string;
}

const plain: Security = { kind: "plain", sni: "" };

/** Facts about a cluster by name; its name alone where the proxy has no such cluster. */
export function describeCluster(resources: ProxyResources, name: string): Upstream {
  const cluster = resources.clusters.get(name);
  if (cluster === undefined) return { cluster: name, flags: "NC" };
  const endpoints = listEndpoints(resources, cluster);
  const securities = endpoints.length === 0 ? [defaultSecurity(cluster)] : endpoints.map(({ security }) => security);
  const kinds = (["plain", "tls", "mtls"] as const).filter((kind) => securities.some((one) => one.kind === kind));
  const sni = securities.find((one) => one.sni !== "")?.sni;
  return {
    cluster: name,
    clusterType: cluster.cluster_type?.name ?? cluster.type ?? "STATIC",
    endpoints: endpoints.map(({ text }) => text),
    upstreamTls: kinds.join(",") as NonNullable<Upstream["upstreamTls"]>,
    ...(sni === undefined ? {} : { upstreamSni: sni }),
    ...(endpoints.length === 0 && !findsEndpointsItself(cluster) ? { flags: "UH" } : {}),
  };
}

/** True where endpoints come of the connection, or of names at run time. */
function findsEndpointsItself({ cluster_type: custom, type }: Cluster): boolean {
  return custom !== undefined || type === "ORIGINAL_DST";
}

function listEndpoints(
  resources: ProxyResources,
  cluster: Cluster,
): readonly { readonly text: string; readonly security: Security }[] {
  return (findAssignment(resources, cluster)?.endpoints ?? []).flatMap(({ lb_endpoints: list, priority }) =>
    (list ?? []).map((endpoint) => ({
      text: `${formatAddress(endpoint)}${priority ? ` (priority ${priority})` : ""}`,
      security: readSecurity(pickSocket(cluster, endpoint) ?? cluster.transport_socket),
    })),
  );
}

function findAssignment(resources: ProxyResources, cluster: Cluster): ClusterLoadAssignment | undefined {
  if (cluster.type !== "EDS") return cluster.load_assignment;
  return resources.endpoints.get(cluster.eds_cluster_config?.service_name || (cluster.name ?? ""));
}

function formatAddress({ endpoint }: LbEndpoint): string {
  const { address } = endpoint ?? {};
  const socket = readAddress(address);
  if (socket !== undefined) return joinHostPort(socket.host, socket.port);
  return address?.pipe?.path ?? address?.envoy_internal_address?.server_listener_name ?? "";
}

/** The first match whose values the endpoint's metadata has, all of them (Cluster.transport_socket_matches). */
function pickSocket(cluster: Cluster, { metadata }: LbEndpoint): TransportSocket | undefined {
  const own = structToJson(metadata?.filter_metadata?.["envoy.transport_socket_match"] ?? {}) as Record<
    string,
    unknown
  >;
  const fits = ({ match }: Cluster_TransportSocketMatch): boolean =>
    Object.entries(structToJson(match ?? {}) as Record<string, unknown>).every(([key, value]) => own[key] === value);
  return cluster.transport_socket_matches?.find(fits)?.transport_socket;
}

function defaultSecurity(cluster: Cluster): Security {
  return readSecurity(pickSocket(cluster, {}) ?? cluster.transport_socket);
}

function readSecurity(socket: TransportSocket | undefined): Security {
  const config = socket?.typed_config;
  if (config === undefined) return plain;
  const context = unpackAs("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", config);
  if (context !== undefined) return { kind: hasCertificate(context) ? "mtls" : "tls", sni: context.sni ?? "" };
  const proxied = unpackAs(
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    config,
  );
  if (proxied !== undefined) return readSecurity(proxied.transport_socket);
  const type = typeNameOf(config.type_url ?? "");
  if (type === "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") return plain;
  throw new Error(`transport socket ${type} is not simulated`);
}

function hasCertificate({ common_tls_context: common }: UpstreamTlsContext): boolean {
  return (common?.tls_certificates ?? []).length > 0 || (common?.tls_certificate_sds_secret_configs ?? []).length > 0;
}
