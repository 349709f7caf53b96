/** Which rule about localities counts for a destination (Istio: core/loadbalancer GetLocalityLbSetting). */
import type { LocalityLbSetting } from "../../api/destination-rule/schema.ts";
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

export interface LocalityRule {
  readonly setting: LocalityLbSetting;
  /** True where traffic may fail over: something must tell that endpoints are unhealthy. */
  readonly failsOver: boolean;
}

/**
 * The setting of the rule, else of the service (trafficDistribution), else of the mesh. Undefined where the one that
 * counts is turned off. A service's own wish needs no outlier detection: it goes by the health of the endpoints.
 */
export function findLocalityRule(
  service: Service,
  policy: EffectivePolicy | undefined,
  mesh: MeshConfig,
): LocalityRule | undefined {
  const failsOver = policy?.outlierDetection !== undefined;
  const own = policy?.loadBalancer?.localityLbSetting;
  if (own !== undefined) return own.enabled === false ? undefined : { setting: own, failsOver };
  switch (service.trafficDistribution) {
    case "PreferClose":
    case "PreferSameZone":
      return { setting: sameZone, failsOver: true };
    case "PreferSameNode":
      return { setting: sameNode, failsOver: true };
    default:
      return mesh.localityLbSetting.enabled === false ? undefined : { setting: mesh.localityLbSetting, failsOver };
  }
}

/**
 * True where Envoy must weigh localities by their given weights. Otherwise it must not, for that changes what balancers
 * such as LEAST_REQUEST do.
 */
export function weighsLocalities(rule: LocalityRule | undefined): boolean {
  if (rule === undefined) return false;
  const { distribute = [], failover = [], failoverPriority = [] } = rule.setting;
  return distribute.length > 0 || (rule.failsOver && (failover.length > 0 || failoverPriority.length > 0));
}
