/** What a policy does with localities: nothing, weights by locality, or zone-aware routing. */
import type { Cluster_CommonLbConfig_ZoneAwareLbConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import { wrappedNumber } from "../../lib/wrapped.ts";
import type { BalancerEnv } from "./balancer.ts";

export type LocalityConfig =
  | { readonly kind: "none" }
  | { readonly kind: "weighted" }
  | {
      readonly kind: "zone-aware";
      readonly minClusterSize: (env: BalancerEnv) => number;
      /** Draws whether this request is routed by zone. */
      readonly isChosen: (env: BalancerEnv) => boolean;
      readonly failsOnPanic: boolean;
    };

export interface LocalityWire {
  readonly zone_aware_lb_config?: Cluster_CommonLbConfig_ZoneAwareLbConfig | undefined;
  readonly locality_weighted_lb_config?: object | undefined;
}

/** Zone-aware is what Envoy does where nothing is said; it needs a cluster of the proxy's own to do anything. */
export function compileLocalityConfig(wire: LocalityWire | undefined): LocalityConfig {
  if (wire?.locality_weighted_lb_config !== undefined) return { kind: "weighted" };
  const zone = wire?.zone_aware_lb_config;
  const minimum = wrappedNumber(zone?.min_cluster_size, 6);
  const percent = zone?.routing_enabled ? (zone.routing_enabled.value ?? 0) : 100;
  return {
    kind: "zone-aware",
    minClusterSize: ({ runtime }) => runtime.number("upstream.zone_routing.min_cluster_size", minimum),
    isChosen: ({ runtime, random }) => random() * 100 < runtime.number("upstream.zone_routing.enabled", percent),
    failsOnPanic: zone?.fail_traffic_on_panic ?? false,
  };
}
