import type { Cluster_DiscoveryType } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ProxyType } from "../../model/proxy.ts";
import type { Service } from "../../model/service.ts";
import { isPassthroughBalancer } from "./load-balancer.ts";
import type { EffectivePolicy } from "./traffic-policy.ts";

/**
 * How the proxy finds the endpoints of a service. Gateways have no original destination to go to, so they are given
 * endpoints where sidecars pass through (Istio: cluster.go convertResolution).
 */
export function selectDiscovery(service: Service, proxyType: ProxyType): Cluster_DiscoveryType {
  switch (service.resolution) {
    case "dnsLb":
      return "STRICT_DNS";
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

/** True for discovery types whose endpoints stand in the cluster itself. */
export function isDnsDiscovery(type: Cluster_DiscoveryType): boolean {
  return type === "STRICT_DNS" || type === "LOGICAL_DNS";
}
