/** Clusters that are refused, and with what. */
import { duration, packAny, struct, u32 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { assignment, type ClusterRig, createRig, endpointOf, origin, staticCluster } from "./testing/cluster-rig.ts";

let rig: ClusterRig;
beforeEach(() => {
  rig = createRig();
});
afterEach(() => rig.clusters.close());

test.each<[string, Cluster, string]>([
  ["no name", { type: "STATIC" }, "name: is required"],
  [
    "a name for an address",
    staticCluster([], { load_assignment: assignment(endpointOf(1, "a.test")) }),
    "malformed IP address",
  ],
  [
    "an internal address",
    staticCluster([], {
      load_assignment: assignment({ endpoint: { address: { envoy_internal_address: { server_listener_name: "x" } } } }),
    }),
    "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.envoy_internal_address",
  ],
  [
    "ORIGINAL_DST with another policy",
    { name: "a", type: "ORIGINAL_DST", lb_policy: "RANDOM", original_dst_lb_config: { use_http_header: true } },
    "lb_policy",
  ],
  [
    "CLUSTER_PROVIDED where the type provides nothing",
    staticCluster([1], { lb_policy: "CLUSTER_PROVIDED" }),
    "lb_policy",
  ],
  [
    "two hosts for LOGICAL_DNS",
    staticCluster([1, 2], { type: "LOGICAL_DNS" }),
    "LOGICAL_DNS clusters must have a single",
  ],
  [
    "a redis cluster",
    {
      name: "a",
      cluster_type: {
        name: "envoy.clusters.redis",
        typed_config: packAny("envoy.extensions.clusters.redis.v3.RedisClusterConfig", {}),
      },
    },
    "envoy.clusters.redis",
  ],
  [
    "DNS over TCP",
    staticCluster([1], { type: "STRICT_DNS", use_tcp_for_dns_lookups: true }),
    "use_tcp_for_dns_lookups",
  ],
  [
    "a shorter greatest ejection time",
    staticCluster([1], { outlier_detection: { base_ejection_time: duration(10), max_ejection_time: duration(5) } }),
    "outlier_detection.max_ejection_time",
  ],
  [
    "a network filter",
    staticCluster([1], { filters: [{ name: "istio.metadata_exchange" }] }),
    "istio.metadata_exchange",
  ],
  ["limits by host", staticCluster([1], { circuit_breakers: { per_host_thresholds: [{}] } }), "per_host_thresholds"],
  [
    "an unknown kind of check",
    staticCluster([1], {
      health_checks: [
        { interval: duration(1), timeout: duration(1), healthy_threshold: u32(1), unhealthy_threshold: u32(1) },
      ],
    }),
    "health_checks[0]",
  ],
  [
    "no priority for a metadata key",
    staticCluster([1], { lb_subset_config: { default_subset: struct({}), subset_selectors: [{}] } }),
    "lb_subset_config",
  ],
])("refused: %s", (_, cluster, message) => {
  const { clusters } = rig;
  expect(() => clusters.update(cluster, origin)).toThrow(message);
  expect(clusters.list()).toEqual([]);
});
