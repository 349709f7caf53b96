/** The listener that all redirected outbound traffic comes to (Istio: networking/core, buildVirtualOutboundListener). */
import { bool, u32 } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { buildAddress, wildcardOf } from "../address.ts";
import {
  blackHoleCluster,
  virtualOutboundBlackholeChain,
  virtualOutboundCatchAllTcpChain,
  virtualOutboundListener,
} from "../names.ts";
import type { FilterFacts } from "../network-filters/filter-facts.ts";
import { buildDroppingFilter } from "../network-filters/tcp-proxy.ts";
import type { ScopeKey } from "../scope.ts";
import { buildListenerAccessLogs } from "../telemetry/access-log.ts";
import { buildFallthroughFilters } from "./outbound-listener.ts";

export interface VirtualOutboundPlan {
  readonly ipFamilies: ScopeKey["ipFamilies"];
  readonly port: number;
  /** Whether packets keep the client's address (interception TPROXY). */
  readonly isTransparent: boolean;
  /** Cluster for what no other listener takes. */
  readonly egressCluster: string;
}

/** It hands a connection on to the listener of its original destination; its chains are for what has none. */
export function buildVirtualOutboundListener(plan: VirtualOutboundPlan, facts: FilterFacts): Listener {
  const logs = buildListenerAccessLogs(facts.mesh);
  return {
    name: virtualOutboundListener,
    address: buildAddress(wildcardOf(plan), plan.port),
    traffic_direction: "OUTBOUND",
    ...(plan.isTransparent ? { transparent: bool(true) } : {}),
    use_original_dst: bool(true),
    filter_chains: [
      buildBlackhole(plan.port),
      { name: virtualOutboundCatchAllTcpChain, filters: buildFallthroughFilters(plan.egressCluster, facts) },
    ],
    ...(logs.length === 0 ? {} : { access_log: logs }),
    max_connections_to_accept_per_socket_event: u32(1),
  };
}

/** A connection to the listener's own port would be passed on to itself without end. */
function buildBlackhole(port: number): FilterChain {
  return {
    name: virtualOutboundBlackholeChain,
    filter_chain_match: { destination_port: u32(port) },
    filters: [buildDroppingFilter(blackHoleCluster)],
  };
}
