/** Outbound listeners as wire objects (Istio: networking/core/listener.go, buildListenerFromEntry). */
import { bool } from "@meltemi/protos";
import type {
  Filter,
  FilterChain,
  FilterChainMatch,
  Listener,
  ListenerFilter,
} from "@meltemi/protos/envoy/config/listener/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { buildAddress } from "../address.ts";
import { withSources } from "../built.ts";
import { toDuration } from "../durations.ts";
import { buildListenerName, passthroughChain } from "../names.ts";
import type { FilterFacts } from "../network-filters/filter-facts.ts";
import { buildHttpConnectionManagerFilter, buildStatPrefix } from "../network-filters/http-connection-manager.ts";
import { buildTcpFilters, plainTarget } from "../network-filters/tcp-proxy.ts";
import { configMetadata } from "../routes/config-metadata.ts";
import { parseCidrRange } from "./addresses.ts";
import { type ChainMatch, type ChainPlan, isMatchAll } from "./chain-plan.ts";
import { exactBalance, httpInspector, tlsInspector } from "./listener-filters.ts";
import { buildAcceptLimit, buildAdditionalAddresses, buildHandshakeTimeout } from "./listener-limits.ts";

export interface OutboundListenerPlan {
  readonly bind: string;
  /** More addresses to listen at. */
  readonly additional: readonly string[];
  readonly port: number;
  /** False where the listener is only looked up by the original destination. */
  readonly bindsToPort: boolean;
  readonly chains: readonly ChainPlan[];
  /** Cluster for what no chain takes; undefined where nothing else can come. */
  readonly fallthrough: string | undefined;
  /** Fields of the connection manager; only the HTTP proxy of the mesh has some. */
  readonly connectionManager?: HttpConnectionManager;
}

export function buildOutboundListener(plan: OutboundListenerPlan, facts: FilterFacts): Listener {
  const name = buildListenerName(plan.bind, plan.port);
  const { rest, all } = splitChains(plan.chains);
  const chains = rest.map((chain) => buildChain(chain, plan, facts));
  const last = all === undefined ? undefined : buildChain(all, plan, facts);
  const sniffs = plan.chains.some(({ match }) => (match.applicationProtocols ?? []).length > 0);
  const filters = listInspectors(plan.chains, sniffs);
  return {
    name,
    address: buildAddress(plan.bind, plan.port),
    ...buildAdditionalAddresses(plan.additional, plan.port),
    traffic_direction: "OUTBOUND",
    ...(plan.bindsToPort ? buildAcceptLimit(facts) : { bind_to_port: bool(false) }),
    ...(facts.exactBalance.outbound ? exactBalance : {}),
    ...placeChains(chains, last, () => buildFallthrough(plan.fallthrough, facts)),
    ...(filters.length === 0 ? {} : { listener_filters: filters }),
    // Waiting costs servers that speak first: only where somebody has set a limit is there one.
    listener_filters_timeout: toDuration(sniffs ? facts.mesh.protocolDetectionTimeout : "0"),
    continue_on_listener_filters_timeout: true,
  };
}

/** The filters of connections that no service takes: to the cluster that the policy for unknown hosts names. */
export function buildFallthroughFilters(cluster: string, facts: FilterFacts): readonly Filter[] {
  return buildTcpFilters({ facts, protocol: "TCP", target: plainTarget(cluster) });
}

function splitChains(chains: readonly ChainPlan[]): {
  readonly rest: readonly ChainPlan[];
  readonly all: ChainPlan | undefined;
} {
  return { rest: chains.filter((chain) => !isMatchAll(chain)), all: chains.findLast(isMatchAll) };
}

/**
 * The chain that takes everything is the default where there are others. Were it among them, a connection that fits the
 * address of a chain but not its other conditions would be dropped instead of coming to it.
 */
function placeChains(
  chains: readonly FilterChain[],
  last: FilterChain | undefined,
  fallthrough: () => FilterChain | undefined,
): Listener {
  if (chains.length === 0) return { filter_chains: last === undefined ? [] : [last] };
  const end = last ?? fallthrough();
  return { filter_chains: chains, ...(end === undefined ? {} : { default_filter_chain: end }) };
}

function buildFallthrough(cluster: string | undefined, facts: FilterFacts): FilterChain | undefined {
  if (cluster === undefined) return undefined;
  return { name: passthroughChain, filter_chain_match: {}, filters: buildFallthroughFilters(cluster, facts) };
}

function buildChain(chain: ChainPlan, plan: OutboundListenerPlan, facts: FilterFacts): FilterChain {
  const wire: FilterChain = {
    ...(isMatchAll(chain) ? {} : { filter_chain_match: buildMatch(chain.match) }),
    filters: buildFilters(chain, plan, facts),
    ...(chain.config === undefined ? {} : { metadata: configMetadata(chain.config) }),
    ...buildHandshakeTimeout(facts),
  };
  return withSources(wire, chain.sources);
}

function buildFilters({ content }: ChainPlan, plan: OutboundListenerPlan, facts: FilterFacts): readonly Filter[] {
  if (content.kind === "tcp") return buildTcpFilters({ facts, protocol: content.protocol, target: content.target });
  return [
    buildHttpConnectionManagerFilter({
      facts,
      listenerClass: "sidecarOutbound",
      statPrefix: buildStatPrefix("outbound", buildListenerName(plan.bind, plan.port)),
      routes: content.routeName,
      protocol: content.protocol,
      dnsCaches: content.dnsCaches ?? [],
      usesRemoteAddress: facts.features.sidecarUsesRemoteAddress,
      ...(plan.connectionManager === undefined ? {} : { fields: plan.connectionManager, sendsMetadataToAll: true }),
    }),
  ];
}

/** Lists are sorted, so that the order in which somebody wrote them does not drain connections. */
export function buildMatch(match: ChainMatch): FilterChainMatch {
  const { serverNames = [], prefixes = [], applicationProtocols = [], transportProtocol } = match;
  const ranges = prefixes.toSorted().flatMap((text) => parseCidrRange(text) ?? []);
  return {
    ...(ranges.length === 0 ? {} : { prefix_ranges: ranges }),
    ...(serverNames.length === 0 || serverNames.includes("*") ? {} : { server_names: serverNames.toSorted() }),
    ...(transportProtocol === undefined ? {} : { transport_protocol: transportProtocol }),
    ...(applicationProtocols.length === 0 ? {} : { application_protocols: applicationProtocols }),
  };
}

/** What has to look at the first bytes before a chain can be chosen. */
function listInspectors(chains: readonly ChainPlan[], sniffs: boolean): readonly ListenerFilter[] {
  const readsNames = chains.some(
    ({ match, content }) =>
      (match.serverNames ?? []).length > 0 || (content.kind === "tcp" && content.target.forward !== undefined),
  );
  return [...(readsNames ? [tlsInspector] : []), ...(sniffs ? [httpInspector] : [])];
}
