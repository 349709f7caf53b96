/** Which rule about localities counts for a destination (Istio: core/loadbalancer GetEffectiveLbSetting). */
import { u64 } from "@meltemi/protos";
import type { Cluster_CommonLbConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import type { LocalityLbSetting, ZoneAwareLbSetting } from "../../api/destination-rule/schema.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Service } from "../../model/service.ts";
import type { EffectivePolicy } from "../clusters/traffic-policy.ts";

export const topologyLabels = {
  network: "topology.istio.io/network",
  region: "topology.kubernetes.io/region",
  zone: "topology.kubernetes.io/zone",
  subzone: "topology.istio.io/subzone",
  cluster: "topology.istio.io/cluster",
  node: "kubernetes.io/hostname",
} as const;

const { network, region, zone, subzone, node } = topologyLabels;

const sameZone: LocalityLbSetting = { failoverPriority: [network, region, zone] };
const sameNode: LocalityLbSetting = { failoverPriority: [network, region, zone, subzone, node] };

export type LocalityRule =
  | {
      readonly kind: "locality";
      readonly setting: LocalityLbSetting;
      /** True where traffic may fail over: something must tell that endpoints are unhealthy. */
      readonly failsOver: boolean;
    }
  /** Turned off it still counts: Envoy is told not to route by zones of its own accord. */
  | { readonly kind: "zoneAware"; readonly setting: ZoneAwareLbSetting };

/**
 * The setting of the rule, else of the service (trafficDistribution), else of the mesh; of one place, zone-aware routing
 * comes first. Undefined where the one that counts is turned off. A service's own wish needs no outlier detection: it
 * goes by the health of the endpoints.
 */
export function findLocalityRule(
  service: Service,
  policy: EffectivePolicy | undefined,
  mesh: MeshConfig,
): LocalityRule | undefined {
  const failsOver = policy?.outlierDetection !== undefined;
  const zoneAware = policy?.loadBalancer?.zoneAwareLbSetting;
  if (zoneAware !== undefined) return { kind: "zoneAware", setting: zoneAware };
  const own = policy?.loadBalancer?.localityLbSetting;
  if (own !== undefined) return own.enabled === false ? undefined : { kind: "locality", setting: own, failsOver };
  switch (service.trafficDistribution) {
    case "PreferClose":
    case "PreferSameZone":
      return { kind: "locality", setting: sameZone, failsOver: true };
    case "PreferSameNode":
      return { kind: "locality", setting: sameNode, failsOver: true };
    default:
      return findMeshRule(mesh, failsOver);
  }
}

function findMeshRule({ localityLbSetting, zoneAwareLbSetting }: MeshConfig, failsOver: boolean) {
  if (zoneAwareLbSetting !== undefined) return { kind: "zoneAware", setting: zoneAwareLbSetting } as const;
  if (localityLbSetting.enabled === false) return undefined;
  return { kind: "locality", setting: localityLbSetting, failsOver } as const;
}

/** How a cluster spreads over localities. */
export type LocalityLb = Pick<Cluster_CommonLbConfig, "locality_weighted_lb_config" | "zone_aware_lb_config">;

export function buildLocalityLb(rule: LocalityRule | undefined): LocalityLb {
  if (rule?.kind !== "zoneAware") return weighsLocalities(rule) ? { locality_weighted_lb_config: {} } : {};
  const { enabled = true, minClusterSize } = rule.setting;
  return {
    zone_aware_lb_config: {
      ...(enabled ? {} : { routing_enabled: {} }),
      ...(minClusterSize === undefined ? {} : { min_cluster_size: u64(minClusterSize) }),
    },
  };
}

/**
 * True where Envoy must weigh localities by their given weights. Otherwise it must not, for that changes what balancers
 * such as LEAST_REQUEST do.
 */
function weighsLocalities(rule: LocalityRule | undefined): boolean {
  if (rule?.kind !== "locality") return false;
  const { distribute = [], failover = [], failoverPriority = [] } = rule.setting;
  return distribute.length > 0 || (rule.failsOver && (failover.length > 0 || failoverPriority.length > 0));
}
