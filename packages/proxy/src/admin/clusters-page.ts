import { toJson } from "@meltemi/protos";
import type { CircuitBreakers_Thresholds, Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { wrappedNumber } from "../lib/wrapped.ts";
import type { Host, UpstreamCluster } from "../upstream/types.ts";
import { type AdminPage, jsonAnswer } from "./admin-page.ts";
import { compileSearch } from "./find-regex.ts";

export const clustersPage: AdminPage = {
  path: "/clusters",
  description: "upstream cluster status",
  parameters: [
    ["format", "one of text, json"],
    ["filter", "a regular expression (RE2) that names of clusters contain"],
  ],
  answer(source, query) {
    const isWanted = compileSearch(query.get("filter"));
    const clusters = source.clusters.list().filter(({ name }) => isWanted(name));
    const fixed = new Set((source.bootstrap.static_resources?.clusters ?? []).map(({ name }) => name));
    if (query.get("format") === "json") {
      return jsonAnswer({ cluster_statuses: clusters.map((cluster) => toStatus(cluster, !fixed.has(cluster.name))) });
    }
    const lines = clusters.flatMap((cluster) => listLines(cluster, !fixed.has(cluster.name)));
    return { body: lines.map((line) => `${line}\n`).join("") };
  },
};

/** Envoy's limits where a cluster gives none. */
const defaultLimits = {
  max_connections: 1024,
  max_pending_requests: 1024,
  max_requests: 1024,
  max_retries: 3,
} as const;
type Limits = Readonly<Record<keyof typeof defaultLimits, number>>;

function limitsOf(wire: Cluster, priority: "DEFAULT" | "HIGH"): Limits {
  const own = wire.circuit_breakers?.thresholds?.find((threshold) => (threshold.priority ?? "DEFAULT") === priority);
  const read = (name: keyof Limits & keyof CircuitBreakers_Thresholds): number =>
    wrappedNumber(own?.[name], defaultLimits[name]);
  return {
    max_connections: read("max_connections"),
    max_pending_requests: read("max_pending_requests"),
    max_requests: read("max_requests"),
    max_retries: read("max_retries"),
  };
}

const counters = ["cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout", "rq_total"];
const gauges = ["cx_active", "rq_active", "rq_pending_active"];

function describe(cluster: UpstreamCluster, host: Host): Readonly<Record<string, number>> {
  const found = cluster.describeHost?.(host) ?? { rq_active: host.activeRequests };
  return Object.fromEntries([...counters, ...gauges].map((name) => [name, found[name] ?? 0]));
}

function listLines(cluster: UpstreamCluster, isAddedViaApi: boolean): readonly string[] {
  const { name, wire } = cluster;
  const limits = (["default", "high"] as const).flatMap((priority) =>
    Object.entries(limitsOf(wire, priority === "high" ? "HIGH" : "DEFAULT")).map(
      ([limit, value]) => `${name}::${priority}_priority::${limit}::${value}`,
    ),
  );
  const service = wire.eds_cluster_config?.service_name;
  return [
    `${name}::observability_name::${wire.alt_stat_name || name}`,
    ...(service ? [`${name}::eds_service_name::${service}`] : []),
    ...limits,
    `${name}::added_via_api::${isAddedViaApi}`,
    ...cluster.listHosts().flatMap((host) => hostLines(cluster, host)),
  ];
}

function hostLines(cluster: UpstreamCluster, host: Host): readonly string[] {
  const { region, zone, sub_zone } = host.locality;
  const stats = Object.entries(describe(cluster, host)).toSorted(([left], [right]) => (left < right ? -1 : 1));
  const lines: readonly (readonly [string, unknown])[] = [
    ...stats,
    ["hostname", host.hostname],
    ["health_flags", healthFlags(cluster, host)],
    ["weight", host.weight],
    ...Object.entries({ region, zone, sub_zone }),
    ["canary", isCanary(host)],
    ["priority", host.priority],
    ["success_rate", -1],
    ["local_origin_success_rate", -1],
  ];
  return lines.map(([what, value]) => `${cluster.name}::${host.address}::${what}::${value}`);
}

function isCanary({ metadata }: Host): boolean {
  const balancing = metadata["envoy.lb"];
  return typeof balancing === "object" && balancing !== null && "canary" in balancing && balancing.canary === true;
}

/** Who called a host unhealthy: endpoint discovery says it itself, else active checks where there are some. */
function healthFlags({ wire }: UpstreamCluster, { health, endpoint }: Host): string {
  if (health === "healthy") return "healthy";
  if (health === "degraded")
    return endpoint.health_status === "DEGRADED" ? "/degraded_eds_health" : "/degraded_active_hc";
  if (endpoint.health_status === "DRAINING") return "/eds_status_draining";
  if (isUnhealthyByDiscovery(endpoint.health_status)) return "/failed_eds_health";
  return (wire.health_checks ?? []).length > 0 ? "/failed_active_hc" : "/failed_outlier_check";
}

function isUnhealthyByDiscovery(status: string | undefined): boolean {
  return status === "UNHEALTHY" || status === "TIMEOUT";
}

function toStatus(cluster: UpstreamCluster, isAddedViaApi: boolean): unknown {
  const { name, wire } = cluster;
  const service = wire.eds_cluster_config?.service_name;
  return {
    name,
    ...(isAddedViaApi ? { added_via_api: true } : {}),
    host_statuses: cluster.listHosts().map((host) => toHostStatus(cluster, host)),
    circuit_breakers: {
      thresholds: [limitsOf(wire, "DEFAULT"), { priority: "HIGH", ...limitsOf(wire, "HIGH") }],
    },
    observability_name: wire.alt_stat_name || name,
    ...(service ? { eds_service_name: service } : {}),
  };
}

function toHostStatus(cluster: UpstreamCluster, host: Host): unknown {
  const values = describe(cluster, host);
  const metric = (name: string, type?: string): unknown => ({
    ...(type === undefined ? {} : { type }),
    ...(values[name] === 0 ? {} : { value: String(values[name]) }),
    name,
  });
  const { address } = host.endpoint.endpoint ?? {};
  return {
    address:
      host.ip === "" && address !== undefined ? toJson("envoy.config.core.v3.Address", address) : toAddress(host),
    stats: [...counters.map((name) => metric(name)), ...gauges.map((name) => metric(name, "GAUGE"))],
    health_status: toHealthStatus(cluster, host),
    weight: host.weight,
    ...(host.hostname === "" ? {} : { hostname: host.hostname }),
    ...(host.priority === 0 ? {} : { priority: host.priority }),
    locality: Object.fromEntries(Object.entries(host.locality).filter(([, value]) => value !== "")),
  };
}

function toAddress({ ip, port }: Host): unknown {
  return { socket_address: { address: ip, port_value: port } };
}

function toHealthStatus(cluster: UpstreamCluster, host: Host): unknown {
  const flags = healthFlags(cluster, host);
  return {
    ...(flags === "/failed_active_hc" ? { failed_active_health_check: true } : {}),
    ...(flags === "/failed_outlier_check" ? { failed_outlier_check: true } : {}),
    ...(flags === "/degraded_active_hc" ? { failed_active_degraded_check: true } : {}),
    eds_health_status: statusByDiscovery(host.endpoint.health_status),
  };
}

function statusByDiscovery(status = "UNKNOWN"): string {
  return status === "UNKNOWN" ? "HEALTHY" : status;
}
