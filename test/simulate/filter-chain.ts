/**
 * Which filter chain takes a connection. Envoy goes through the criteria in a fixed order; at each it keeps the chains
 * with the most specific value that fits and forgets the others for good: it never goes back to a less specific value
 * because a later criterion fails (FilterChainMatch in Envoy's API documentation).
 */
import type { FilterChain, FilterChainMatch, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { Connection } from "./inspect-connection.ts";
import { findLongestPrefix, isLoopback } from "./ip-range.ts";
import type { Note } from "./trace.ts";

/** How well a chain fits by one criterion: undefined not at all, else the greater the more specific. */
type Criterion = (match: FilterChainMatch, connection: Connection) => number | undefined;

const criteria: readonly (readonly [string, Criterion])[] = [
  ["destination port", rankDestinationPort],
  ["destination address", (match, { local }) => findLongestPrefix(match.prefix_ranges, local.host)],
  ["server name", rankServerName],
  ["transport protocol", rankTransport],
  ["application protocol", rankApplication],
  [
    "direct source",
    (match, { directRemote }) => findLongestPrefix(match.direct_source_prefix_ranges, directRemote.host),
  ],
  ["source type", rankSourceType],
  ["source address", (match, { remote }) => findLongestPrefix(match.source_prefix_ranges, remote.host)],
  ["source port", rankSourcePort],
];

/** The chain of the connection, or the listener's default chain; undefined where Envoy closes the connection. */
export function findFilterChain(listener: Listener, connection: Connection, note: Note): FilterChain | undefined {
  if (listener.filter_chain_matcher !== undefined)
    throw new Error(`listener ${listener.name}: filter_chain_matcher is not simulated`);
  let left = listener.filter_chains ?? [];
  for (const [name, criterion] of criteria) {
    const ranked = left.map((chain) => [chain, criterion(chain.filter_chain_match ?? {}, connection)] as const);
    const best = Math.max(...ranked.map(([, rank]) => rank ?? Number.NEGATIVE_INFINITY));
    left = ranked.filter(([, rank]) => rank !== undefined && rank === best).map(([chain]) => chain);
    if (left.length === 0) {
      note(`filter chain: none by ${name}${listener.default_filter_chain === undefined ? "" : ", the default chain"}`);
      return listener.default_filter_chain;
    }
  }
  const [chain, twin] = left;
  if (twin !== undefined) throw new Error(`listener ${listener.name}: two filter chains match the same connections`);
  note(`filter chain: "${chain?.name ?? ""}" ${JSON.stringify(chain?.filter_chain_match ?? {})}`);
  return chain;
}

function rankDestinationPort({ destination_port: port }: FilterChainMatch, { local }: Connection): number | undefined {
  if (port === undefined) return 0;
  return port.value === local.port ? 1 : undefined;
}

/** Exact names before wildcards, longer wildcards before shorter ones; "*.a" holds every name below a. */
function rankServerName({ server_names: names }: FilterChainMatch, connection: Connection): number | undefined {
  if (names === undefined || names.length === 0) return 0;
  const { serverName } = connection;
  const ranks = names.flatMap((name) => {
    if (name === serverName) return [Number.POSITIVE_INFINITY];
    return name.startsWith("*.") && serverName.endsWith(name.slice(1)) && serverName.length > name.length - 1
      ? [name.length]
      : [];
  });
  return ranks.length === 0 ? undefined : Math.max(...ranks);
}

function rankTransport(
  { transport_protocol: transport }: FilterChainMatch,
  connection: Connection,
): number | undefined {
  if (transport === undefined || transport === "") return 0;
  return transport === connection.transportProtocol ? 1 : undefined;
}

/** The client's order decides between chains for several protocols that it offers. */
function rankApplication({ application_protocols: own }: FilterChainMatch, connection: Connection): number | undefined {
  if (own === undefined || own.length === 0) return 0;
  const { applicationProtocols: offered } = connection;
  const place = offered.findIndex((protocol) => own.includes(protocol));
  return place < 0 ? undefined : offered.length - place;
}

function rankSourceType({ source_type: type }: FilterChainMatch, { local, remote }: Connection): number | undefined {
  if (type === undefined || type === "ANY") return 0;
  const isLocal = remote.host === local.host || isLoopback(remote.host);
  return isLocal === (type === "SAME_IP_OR_LOOPBACK") ? 1 : undefined;
}

function rankSourcePort({ source_ports: ports }: FilterChainMatch, { remote }: Connection): number | undefined {
  if (ports === undefined || ports.length === 0) return 0;
  return ports.includes(remote.port) ? 1 : undefined;
}
