/** What Envoy rejects although every field of it is well-formed: names, domains, matches and addresses that stand twice. */
import { isIP, isIPv6 } from "node:net";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { FilterChainMatch, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";

/** Values that stand more than once, each once. */
export function listRepeated(values: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  return [...new Set(values.filter((value) => seen.size === seen.add(value).size))];
}

/** Two virtual hosts of one route configuration must share neither a domain (of any case) nor a name. */
export function checkRoute({ name, virtual_hosts }: RouteConfiguration): readonly string[] {
  const hosts = virtual_hosts ?? [];
  const domains = listRepeated(hosts.flatMap((host) => (host.domains ?? []).map((domain) => domain.toLowerCase())));
  return [
    ...domains.map((domain) => `route ${name}: domain ${domain} stands twice`),
    ...listRepeated(hosts.map((host) => host.name ?? "")).map(
      (host) => `route ${name}: virtual host ${host} stands twice`,
    ),
    ...hosts
      .filter((host) => (host.domains ?? []).length === 0)
      .map((host) => `route ${name}: ${host.name} has no domain`),
  ];
}

/**
 * Two filter chains of one listener must not match the same connection equally well; a server name's wildcard is a whole
 * label; what is an address is an IP address, and a port a port.
 */
export function checkListener({ name, filter_chains, address }: Listener): readonly string[] {
  const chains = (filter_chains ?? []).map((chain) => chain.filter_chain_match ?? {});
  const names = chains.flatMap((match) => match.server_names ?? []).filter((server) => !/^(\*\.)?[^*]+$/.test(server));
  return [
    ...listRepeated(chains.flatMap(listMatches)).map((match) => `listener ${name}: two filter chains match ${match}`),
    ...names.map((server) => `listener ${name}: Envoy refuses the server name ${server}`),
    ...checkSocket(address, `listener ${name}`),
  ];
}

/** Endpoints that Envoy does not look up must be IP addresses; weights are at least 1. */
export function checkEndpoints({ cluster_name, endpoints }: ClusterLoadAssignment, looksUp = false): readonly string[] {
  return (endpoints ?? []).flatMap(({ lb_endpoints, load_balancing_weight }) => [
    ...(load_balancing_weight?.value === 0 ? [`endpoints of ${cluster_name}: a locality has weight 0`] : []),
    ...(lb_endpoints ?? []).flatMap((one) => [
      ...(one.load_balancing_weight?.value === 0 ? [`endpoints of ${cluster_name}: one has weight 0`] : []),
      ...checkSocket(one.endpoint?.address, `endpoints of ${cluster_name}`, looksUp),
    ]),
  ]);
}

/** What a cluster says of its endpoints itself. */
export function checkCluster({ type, load_assignment }: Cluster): readonly string[] {
  return load_assignment === undefined ? [] : checkEndpoints(load_assignment, type?.endsWith("_DNS") === true);
}

function checkSocket(address: Address | undefined, what: string, looksUp = false): readonly string[] {
  const socket = address?.socket_address;
  if (socket === undefined) return [];
  const { address: host = "", port_value: port = 0 } = socket;
  return [
    ...((looksUp ? host !== "" : isIP(host) !== 0)
      ? []
      : [`${what}: Envoy refuses the address ${JSON.stringify(host)}`]),
    ...(port > 65535 ? [`${what}: Envoy refuses the port ${port}`] : []),
  ];
}

/** Two listeners of a proxy must not have the same address; Envoy refuses the second, whether it binds or not. */
export function checkAddresses(listeners: readonly Listener[]): readonly string[] {
  const addresses = listeners.flatMap(({ address }) => {
    const socket = address?.socket_address;
    return socket === undefined ? [] : [`${socket.protocol ?? "TCP"} ${socket.address} ${socket.port_value}`];
  });
  return listRepeated(addresses).map((address) => `two listeners have the address ${address}`);
}

/** Every combination that Envoy puts into its table of chains, as text. */
function listMatches(match: FilterChainMatch): readonly string[] {
  const ranges = (list: FilterChainMatch["prefix_ranges"]): readonly string[] =>
    (list ?? []).map((range) => canonicalRange(range.address_prefix ?? "", range.prefix_len?.value ?? 0));
  const parts: readonly (readonly string[])[] = [
    [String(match.destination_port?.value ?? "any port")],
    ranges(match.prefix_ranges),
    (match.server_names ?? []).map((server) => server.toLowerCase()),
    [match.transport_protocol ?? ""],
    match.application_protocols ?? [],
    ranges(match.direct_source_prefix_ranges),
    [match.source_type ?? ""],
    ranges(match.source_prefix_ranges),
    (match.source_ports ?? []).map(String),
  ];
  return parts.reduce<readonly string[]>(
    (heads, part) =>
      heads.flatMap((head) => (part.length === 0 ? [`${head};`] : part.map((value) => `${head};${value}`))),
    [""],
  );
}

/** The range with the bits after its prefix cleared, as Envoy reads it. */
function canonicalRange(address: string, length: number): string {
  const groups = isIPv6(address) ? expandGroups(address) : address.split(".").map(Number);
  const width = isIPv6(address) ? 16n : 8n;
  const bits = groups.reduce((sum, group) => (sum << width) + BigInt(group), 0n);
  const cleared = width * BigInt(groups.length) - BigInt(length);
  return `${((bits >> cleared) << cleared).toString(16)}/${length} of ${groups.length}`;
}

/** The eight numbers of an IPv6 address; the runtime's reading of URLs knows all ways to write one. */
function expandGroups(address: string): readonly number[] {
  const [head = "", tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split("::");
  const numbers = (text: string): readonly number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  if (tail === undefined) return numbers(head);
  const [first, last] = [numbers(head), numbers(tail)];
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}
