/** Clusters that every proxy has, whatever the mesh holds (Istio: core/cluster_builder.go, rows C5 and C6). */
import { duration } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { BindConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Built } from "../built.ts";
import { blackHoleCluster, inboundPassthroughCluster, passthroughCluster } from "../names.ts";
import type { ScopeKey } from "../scope.ts";
import { buildConnectionLimits, buildMeshConnectTimeout } from "./connection-pool.ts";
import { buildHttp1Options, packHttpOptions } from "./http-options.ts";
import { providedByCluster } from "./load-balancer.ts";
import { buildClusterFilters } from "./service-clusters.ts";
import { formatStatName } from "./stat-name.ts";
import { applyMeshPolicy } from "./traffic-policy.ts";

const secretServerCluster = "sds-external";
const secretSocket = "./var/run/secrets/credential-uds/socket";
const idleTimeoutMs = 300_000;
// The rules that redirect traffic leave these sources alone: what comes from here must not come back to the proxy.
const passthroughSourceV4 = "127.0.0.6";
const passthroughSourceV6 = "::6";

const memo = createSlotMemo<Built<Cluster>>();

/** Drops everything: for traffic to destinations that do not exist. */
export function buildBlackHole(mesh: MeshConfig): Built<Cluster> {
  return memo({ owner: mesh, slot: blackHoleCluster }, [], () =>
    withoutSources({
      name: blackHoleCluster,
      type: "STATIC",
      connect_timeout: buildMeshConnectTimeout(mesh),
      lb_policy: "ROUND_ROBIN",
      alt_stat_name: formatStatName(blackHoleCluster),
    }),
  );
}

/** The SDS server beside the proxy, which credentials with the prefix `sds://` come from. */
export function buildSecretServer(mesh: MeshConfig): Built<Cluster> {
  return memo({ owner: mesh, slot: secretServerCluster }, [], () =>
    withoutSources({
      name: secretServerCluster,
      type: "STATIC",
      connect_timeout: buildMeshConnectTimeout(mesh),
      lb_policy: "ROUND_ROBIN",
      alt_stat_name: formatStatName(secretServerCluster),
      load_assignment: {
        cluster_name: secretServerCluster,
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: secretSocket } } } }] }],
      },
      ...packHttpOptions({ explicit_http_config: { http2_protocol_options: {} } }),
    }),
  );
}

/** Sends traffic where it was going: for destinations that the mesh does not know. */
export function buildPassthrough(mesh: MeshConfig, key: ScopeKey): Built<Cluster> {
  const filters = buildClusterFilters(key);
  return memo({ owner: mesh, slot: passthroughCluster }, [filters.filters], () =>
    withoutSources({ ...buildOriginalDestination(mesh), name: passthroughCluster, ...filters }),
  );
}

/** As buildPassthrough, for traffic to ports of the workload that no service speaks of. */
export function buildInboundPassthrough(mesh: MeshConfig, families: ScopeKey["ipFamilies"]): Built<Cluster> {
  return memo({ owner: mesh, slot: `${inboundPassthroughCluster} ${families.v4} ${families.v6}` }, [], () =>
    withoutSources({
      ...buildOriginalDestination(mesh),
      name: inboundPassthroughCluster,
      upstream_bind_config: buildPassthroughBind(families, true),
    }),
  );
}

/** Source address of connections to the workload itself. `bothFamilies`: Envoy picks the one that fits the target. */
export function buildPassthroughBind({ v4, v6 }: ScopeKey["ipFamilies"], bothFamilies: boolean): BindConfig {
  const source = (address: string) => ({ address, port_value: 0 });
  const extra = bothFamilies && v4 && v6 ? { extra_source_addresses: [{ address: source(passthroughSourceV6) }] } : {};
  return { source_address: source(v4 || !v6 ? passthroughSourceV4 : passthroughSourceV6), ...extra };
}

function buildOriginalDestination(mesh: MeshConfig): Cluster {
  return {
    type: "ORIGINAL_DST",
    ...providedByCluster,
    // Both directions share the name in statistics, as in Istio.
    alt_stat_name: formatStatName(passthroughCluster),
    ...buildConnectionLimits(applyMeshPolicy(undefined, mesh), mesh),
    ...packHttpOptions({
      common_http_protocol_options: { idle_timeout: duration(idleTimeoutMs) },
      use_downstream_protocol_config: { http_protocol_options: buildHttp1Options(mesh), http2_protocol_options: {} },
    }),
  };
}

function withoutSources(message: Cluster): Built<Cluster> {
  return { name: message.name ?? "", message, sources: [] };
}
