/** The very host that a session wants, where it is there and well enough (common_lb_config.override_host_status). */
import type { HealthStatus, HealthStatusSet } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterHost } from "./hosts/cluster-host.ts";

export type IsOverridable = (host: ClusterHost) => boolean;

const defaultStatuses: readonly HealthStatus[] = ["UNKNOWN", "HEALTHY", "DEGRADED"];

/** An empty set lets no host be chosen so. */
export function compileOverrideStatus(wire: HealthStatusSet | undefined): IsOverridable {
  const statuses = new Set<HealthStatus>(wire === undefined ? defaultStatuses : (wire.statuses ?? []));
  return (host) => statuses.has(host.status);
}
