import type { Cluster_DiscoveryType } from "@meltemi/protos/envoy/config/cluster/v3";
import type { DestinationRuleSpec } from "../../api/destination-rule/schema.ts";
import type { ProxyType } from "../../model/proxy.ts";
import type { Service } from "../../model/service.ts";
import { isPassthroughBalancer } from "./load-balancer.ts";
import { type EffectivePolicy, mergeRulePolicy } from "./traffic-policy.ts";

/**
 * How the proxy finds the endpoints of a service. Gateways have no original destination to go to, so they are given
 * endpoints where sidecars pass through (Istio: cluster.go convertResolution).
 */
export function selectDiscovery(service: Service, proxyType: ProxyType): Cluster_DiscoveryType {
  switch (service.resolution) {
    case "dnsLb":
      return service.racesConnections === true ? "LOGICAL_DNS" : "STRICT_DNS";
    case "dnsRoundRobin":
      return "LOGICAL_DNS";
    case "passthrough":
      return proxyType === "router" ? "EDS" : "ORIGINAL_DST";
    default:
      return "EDS";
  }
}

/** As selectDiscovery, with what a rule's balancer makes of it: PASSTHROUGH goes to the original destination. */
export function selectPolicyDiscovery(
  service: Service,
  proxyType: ProxyType,
  policy: EffectivePolicy | undefined,
): Cluster_DiscoveryType {
  return isPassthroughBalancer(policy?.loadBalancer) ? "ORIGINAL_DST" : selectDiscovery(service, proxyType);
}

/**
 * What a cluster is built as, and what a rule's balancer turns it into: the fields of the first stay. A subset starts as
 * what its service's cluster became, so that it cannot take PASSTHROUGH back (Istio: cluster_builder.go).
 */
export function selectDiscoveryStages(
  service: Service,
  proxyType: ProxyType,
  cluster: { readonly rule: DestinationRuleSpec | undefined; readonly port: number; readonly subset: string },
): { readonly built: Cluster_DiscoveryType; readonly final: Cluster_DiscoveryType } {
  const { rule, port, subset } = cluster;
  const built = selectStart(service, proxyType, cluster);
  const passes = isPassthroughBalancer(mergeRulePolicy(rule, port, subset)?.loadBalancer);
  return { built, final: passes ? "ORIGINAL_DST" : built };
}

function selectStart(
  service: Service,
  proxyType: ProxyType,
  { rule, port, subset }: Parameters<typeof selectDiscoveryStages>[2],
): Cluster_DiscoveryType {
  if (subset === "") return selectDiscovery(service, proxyType);
  const own = rule?.subsets?.find(({ name }) => name === subset)?.trafficPolicy;
  if (isPassthroughBalancer(own?.loadBalancer)) return "ORIGINAL_DST";
  return selectPolicyDiscovery(service, proxyType, mergeRulePolicy(rule, port, ""));
}

/** True for discovery types whose endpoints stand in the cluster itself. */
export function isDnsDiscovery(type: Cluster_DiscoveryType): boolean {
  return type === "STRICT_DNS" || type === "LOGICAL_DNS";
}
