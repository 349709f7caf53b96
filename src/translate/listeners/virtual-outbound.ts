/** The listener that all redirected outbound traffic comes to (Istio: networking/core, buildVirtualOutboundListener). */

import { bool, u32 } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import { buildAddress } from "../address.ts";
import {
  blackHoleCluster,
  dynamicDnsVirtualHost,
  virtualOutboundBlackholeChain,
  virtualOutboundCatchAllTcpChain,
  virtualOutboundListener,
} from "../names.ts";
import type { FilterFacts } from "../network-filters/filter-facts.ts";
import { buildHttpConnectionManagerFilter, buildStatPrefix } from "../network-filters/http-connection-manager.ts";
import { buildDroppingFilter } from "../network-filters/tcp-proxy.ts";
import { maxDirectResponseBodySize } from "../routes/route-configuration.ts";
import { buildListenerAccessLogs } from "../telemetry/access-log.ts";
import { listPlaintextHttp } from "./chain-plan.ts";
import { httpInspector } from "./listener-filters.ts";
import { buildAcceptLimit, buildAdditionalAddresses } from "./listener-limits.ts";
import { buildFallthroughFilters } from "./outbound-listener.ts";

export interface VirtualOutboundPlan {
  readonly bind: string;
  /** More addresses to listen at. */
  readonly additional: readonly string[];
  readonly port: number;
  /** Whether packets keep the client's address (interception TPROXY). */
  readonly isTransparent: boolean;
  /** Cluster for what no other listener takes. */
  readonly egressCluster: string;
  /** Where requests in plain text go whose host the proxy is to look up; absent where they go on as they are. */
  readonly unknownHosts?: { readonly cache: DnsCacheConfig; readonly host: VirtualHost };
}

/** It hands a connection on to the listener of its original destination; its chains are for what has none. */
export function buildVirtualOutboundListener(plan: VirtualOutboundPlan, facts: FilterFacts): Listener {
  const logs = buildListenerAccessLogs(facts.mesh);
  return {
    name: virtualOutboundListener,
    address: buildAddress(plan.bind, plan.port),
    ...buildAdditionalAddresses(plan.additional, plan.port),
    traffic_direction: "OUTBOUND",
    ...(plan.isTransparent ? { transparent: bool(true) } : {}),
    use_original_dst: bool(true),
    filter_chains: [
      buildBlackhole(plan.port),
      ...buildUnknownHosts(plan, facts),
      { name: virtualOutboundCatchAllTcpChain, filters: buildFallthroughFilters(plan.egressCluster, facts) },
    ],
    ...(plan.unknownHosts === undefined ? {} : { listener_filters: [httpInspector] }),
    ...(logs.length === 0 ? {} : { access_log: logs }),
    ...buildAcceptLimit(facts),
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

/** HTTP that no listener takes: the routes stand in the listener, for there is nothing in them that changes. */
function buildUnknownHosts({ unknownHosts }: VirtualOutboundPlan, facts: FilterFacts): readonly FilterChain[] {
  if (unknownHosts === undefined) return [];
  const manager = buildHttpConnectionManagerFilter({
    facts,
    listenerClass: "sidecarOutbound",
    statPrefix: buildStatPrefix("outbound", `${virtualOutboundListener}_${dynamicDnsVirtualHost}`),
    protocol: "HTTP",
    usesRemoteAddress: facts.features.sidecarUsesRemoteAddress,
    dnsCaches: [unknownHosts.cache],
    routes: {
      name: dynamicDnsVirtualHost,
      virtual_hosts: [unknownHosts.host],
      validate_clusters: bool(false),
      max_direct_response_body_size_bytes: maxDirectResponseBodySize,
      ignore_port_in_host_matching: true,
    },
  });
  return [
    {
      name: `${virtualOutboundCatchAllTcpChain}-http`,
      filter_chain_match: { application_protocols: listPlaintextHttp(facts.features) },
      filters: [manager],
    },
  ];
}
