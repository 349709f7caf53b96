/** Inbound listeners as wire objects (Istio: networking/core/listener_inbound.go). */
import { bool, u32 } from "@meltemi/protos";
import type { Filter, FilterChain, FilterChainMatch, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { DownstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { isHttp2 } from "../../lib/protocol.ts";
import { buildAddress } from "../address.ts";
import { withSources } from "../built.ts";
import { toDuration } from "../durations.ts";
import {
  blackHoleCluster,
  buildListenerName,
  inboundPassthroughCluster,
  virtualInboundBlackholeChain,
  virtualInboundCatchAllHttpChain,
  virtualInboundChain,
} from "../names.ts";
import type { FilterFacts } from "../network-filters/filter-facts.ts";
import { buildHttpConnectionManagerFilter, buildStatPrefix } from "../network-filters/http-connection-manager.ts";
import { buildMetadataExchangeFilters } from "../network-filters/metadata-exchange.ts";
import { buildDroppingFilter, buildTcpFilters, plainTarget } from "../network-filters/tcp-proxy.ts";
import { configMetadata } from "../routes/config-metadata.ts";
import { buildDownstreamTlsContext, buildInboundTlsContext } from "../security/downstream.ts";
import { buildDownstreamTlsSocket } from "../security/transport-socket.ts";
import { buildListenerAccessLogs } from "../telemetry/access-log.ts";
import { listPlaintextHttp, plaintextHttpProtocols } from "./chain-plan.ts";
import { type InboundMatch, listInboundMatches, listOwnTlsMatches } from "./inbound-matches.ts";
import { buildInboundRoutes } from "./inbound-route.ts";
import type { InboundTarget } from "./inbound-targets.ts";
import { listInspectors } from "./inspectors.ts";
import { classifyProtocol } from "./listener-conflicts.ts";
import { exactBalance, originalDestination, originalSource } from "./listener-filters.ts";
import { buildAcceptLimit, buildAdditionalAddresses } from "./listener-limits.ts";

export interface InboundListenerPlan {
  readonly name: string;
  readonly bind: string;
  /** More addresses to listen at. */
  readonly additional: readonly string[];
  readonly port: number;
  /** True for the listener that redirected traffic comes to; otherwise it is for one port alone. */
  readonly takesRedirected: boolean;
  /** Whether packets keep the client's address (interception TPROXY). */
  readonly isTransparent: boolean;
  /** Targets for what no service has come first. */
  readonly targets: readonly InboundTarget[];
}

export function buildInboundListener(plan: InboundListenerPlan, facts: FilterFacts): Listener {
  const blackhole = plan.takesRedirected ? [buildBlackhole(plan.port, facts)] : [];
  const chains = [...blackhole, ...plan.targets.flatMap((target) => buildChains(target, facts))];
  const logs = buildListenerAccessLogs(facts.mesh);
  const filters = [
    ...(plan.takesRedirected ? [originalDestination] : []),
    ...(plan.isTransparent ? [originalSource] : []),
    ...listInspectors(chains),
  ];
  return {
    name: plan.name,
    address: buildAddress(plan.bind, plan.port),
    ...buildAdditionalAddresses(plan.additional, plan.port),
    traffic_direction: "INBOUND",
    ...(facts.exactBalance.inbound ? exactBalance : {}),
    ...(plan.isTransparent ? { transparent: bool(true) } : {}),
    filter_chains: chains,
    ...(filters.length === 0 ? {} : { listener_filters: filters }),
    listener_filters_timeout: toDuration(facts.mesh.protocolDetectionTimeout),
    continue_on_listener_filters_timeout: true,
    ...(logs.length === 0 ? {} : { access_log: logs }),
    ...buildAcceptLimit(facts),
  };
}

/** A connection to the listener's own port would be passed on to itself without end. */
function buildBlackhole(port: number, facts: FilterFacts): FilterChain {
  return {
    name: virtualInboundBlackholeChain,
    filter_chain_match: { destination_port: u32(port) },
    filters: [...buildMetadataExchangeFilters(facts), buildDroppingFilter(blackHoleCluster)],
  };
}

function buildChains(target: InboundTarget, facts: FilterFacts): readonly FilterChain[] {
  // A port of UDP is served as if it were one of TCP: what comes by UDP does not come here.
  const kind = classifyProtocol(target.protocol) ?? "tcp";
  const matches = target.tls === undefined ? listInboundMatches(target.mode, kind) : listOwnTlsMatches(kind);
  return matches.map((match) => {
    const tls = match.endsTls ? buildTls(target, match, facts) : undefined;
    const chain: FilterChain = {
      name: nameChain(target, match),
      filter_chain_match: buildMatch(target, match, facts),
      filters: match.traffic === "http" ? buildHttpFilters(target, facts) : buildBytesFilters(target, facts),
      ...(tls === undefined ? {} : { transport_socket: buildDownstreamTlsSocket(tls) }),
      ...(target.config === undefined ? {} : { metadata: configMetadata(target.config) }),
    };
    return withSources(chain, target.sources);
  });
}

function buildMatch({ port }: InboundTarget, match: InboundMatch, { features }: FilterFacts): FilterChainMatch {
  const { transportProtocol } = match;
  const isPlaintextHttp = match.applicationProtocols === plaintextHttpProtocols;
  const applicationProtocols = isPlaintextHttp ? listPlaintextHttp(features) : match.applicationProtocols;
  return {
    ...(port === 0 ? {} : { destination_port: u32(port) }),
    transport_protocol: transportProtocol,
    ...(applicationProtocols.length === 0 ? {} : { application_protocols: applicationProtocols }),
  };
}

function isPassthrough({ cluster }: InboundTarget): boolean {
  return cluster === inboundPassthroughCluster;
}

function nameChain(target: InboundTarget, { traffic }: InboundMatch): string {
  if (!isPassthrough(target)) return buildListenerName(target.bind, target.port);
  return traffic === "http" ? virtualInboundCatchAllHttpChain : virtualInboundChain;
}

function buildTls(
  target: InboundTarget,
  { traffic }: InboundMatch,
  { mesh }: FilterFacts,
): DownstreamTlsContext | undefined {
  // What the client offers does not tell HTTP from bytes here: the port says which it is.
  if (target.tls !== undefined) return buildDownstreamTlsContext(target.tls, "http", mesh.tlsDefaults);
  const domains = new Set([mesh.trustDomain, ...mesh.trustDomainAliases].filter((domain) => domain !== ""));
  return buildInboundTlsContext(traffic, [...domains], mesh.meshMTLS);
}

function buildHttpFilters(target: InboundTarget, facts: FilterFacts): readonly Filter[] {
  const statPrefix = isPassthrough(target)
    ? `${target.cluster};`
    : buildStatPrefix("inbound", buildListenerName(target.bind, target.port));
  const manager = buildHttpConnectionManagerFilter({
    facts,
    listenerClass: "sidecarInbound",
    statPrefix,
    routes: buildInboundRoutes(target, facts),
    protocol: target.protocol,
    ...(isHttp2(target.protocol) ? { fields: { http2_protocol_options: {} } } : {}),
  });
  return [...buildMetadataExchangeFilters(facts), manager];
}

function buildBytesFilters(target: InboundTarget, facts: FilterFacts): readonly Filter[] {
  return buildTcpFilters({
    facts,
    protocol: target.protocol,
    target: plainTarget(target.cluster, target.statPrefix),
    leading: buildMetadataExchangeFilters(facts),
  });
}
