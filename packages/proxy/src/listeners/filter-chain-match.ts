/**
 * Finds the filter chain of a connection by Envoy's rules: criteria are asked in a fixed order, at each the most specific
 * one that fits is taken, and what was passed over at one criterion is never come back to.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto#config-listener-v3-filterchainmatch
 */
import { isIP } from "node:net";
import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import type { FilterChainMatch } from "@meltemi/protos/envoy/config/listener/v3";
import { ConfigError, within } from "../lib/config-error.ts";
import { compileCidrs } from "../matchers/cidr.ts";
import type { AcceptedSocket } from "./accepted-socket.ts";
import { isSameIpOrLoopback } from "./same-host.ts";

export interface MatchedChain<Chain> {
  readonly match: FilterChainMatch | undefined;
  readonly chain: Chain;
}

/** Compiles the matches of all chains. Throws ConfigError where two are the same or one cannot be used. */
export function compileFilterChainMatch<Chain>(
  chains: readonly MatchedChain<Chain>[],
): (accepted: AcceptedSocket) => Chain | undefined {
  const root: Node<Chain> = createNode();
  for (const [index, { match = {}, chain }] of chains.entries()) {
    within(`filter_chains[${index}].filter_chain_match`, () => {
      refuseUnsupported(match);
      insert({ node: root, criteria: criteriaOf(match), chain });
    });
  }
  return (accepted) => find(root, 0, accepted);
}

interface Node<Chain> {
  readonly children: Map<string, Node<Chain>>;
  /** Children that are CIDR ranges, the longest prefix first. */
  readonly ranges: { readonly bits: number; readonly contains: (ip: string) => boolean; readonly node: Node<Chain> }[];
  chain: Chain | undefined;
}

function createNode<Chain>(): Node<Chain> {
  return { children: new Map(), ranges: [], chain: undefined };
}

/** One criterion of a match: its values, of which any will do; none: anything. */
interface Criterion {
  readonly values: readonly string[];
  readonly ranges?: readonly CidrRange[];
}

function criteriaOf(match: FilterChainMatch): readonly Criterion[] {
  const port = match.destination_port?.value ?? 0;
  const sourceType = match.source_type ?? "ANY";
  return [
    { values: port === 0 ? [] : [String(port)] },
    rangesOf(match.prefix_ranges),
    { values: (match.server_names ?? []).map(parseServerName) },
    { values: match.transport_protocol ? [match.transport_protocol] : [] },
    { values: match.application_protocols ?? [] },
    rangesOf(match.direct_source_prefix_ranges),
    { values: sourceType === "ANY" ? [] : [sourceType] },
    rangesOf(match.source_prefix_ranges),
    { values: (match.source_ports ?? []).map(String) },
  ];
}

function rangesOf(ranges: readonly CidrRange[] = []): Criterion {
  return { values: ranges.map((range) => canonicalRange(range)), ranges };
}

function canonicalRange({ address_prefix: address = "", prefix_len: length }: CidrRange): string {
  return `${address}/${length?.value ?? 0}`;
}

/** "*.example.com" is kept as ".example.com". */
function parseServerName(name: string): string {
  const rest = name.startsWith("*.") ? name.slice(1) : name;
  if (rest.includes("*")) {
    throw new ConfigError("server_names", `partial wildcards are not supported: "${name}"`);
  }
  return rest.toLowerCase();
}

function refuseUnsupported(match: FilterChainMatch): void {
  for (const field of ["address_suffix", "suffix_len"] as const) {
    if (match[field] !== undefined && match[field] !== "") {
      throw new ConfigError(field, "is not implemented, as in Envoy");
    }
  }
}

interface Insertion<Chain> {
  readonly node: Node<Chain>;
  readonly criteria: readonly Criterion[];
  readonly chain: Chain;
}

function insert<Chain>({ node, criteria: [criterion, ...rest], chain }: Insertion<Chain>): void {
  if (criterion === undefined) {
    if (node.chain !== undefined) {
      throw new ConfigError("", "multiple filter chains with overlapping matching rules are defined");
    }
    node.chain = chain;
    return;
  }
  const { values, ranges } = criterion;
  if (values.length === 0) insert({ node: childOf(node, ""), criteria: rest, chain });
  for (const [index, value] of values.entries()) {
    const child = ranges?.[index] === undefined ? childOf(node, value) : rangeOf(node, value, ranges[index]);
    insert({ node: child, criteria: rest, chain });
  }
}

function childOf<Chain>(node: Node<Chain>, key: string): Node<Chain> {
  const known = node.children.get(key);
  if (known !== undefined) return known;
  const child: Node<Chain> = createNode();
  node.children.set(key, child);
  return child;
}

function rangeOf<Chain>(node: Node<Chain>, key: string, range: CidrRange): Node<Chain> {
  const known = node.children.get(key);
  if (known !== undefined) return known;
  const child = childOf(node, key);
  node.ranges.push({ bits: range.prefix_len?.value ?? 0, contains: compileCidrs([range]), node: child });
  node.ranges.sort((left, right) => right.bits - left.bits);
  return child;
}

type Step = <Chain>(node: Node<Chain>, accepted: AcceptedSocket) => Node<Chain> | undefined;

/** One step for each criterion, in Envoy's order. */
const steps: readonly Step[] = [
  (node, { localAddress: { port } }) => node.children.get(String(port)) ?? node.children.get(""),
  (node, { localAddress: { ip } }) => findRange(node, ip),
  (node, { sni }) => findServerName(node, sni),
  (node, { transportProtocol }) => node.children.get(transportProtocol) ?? node.children.get(""),
  (node, { applicationProtocols }) => findProtocol(node, applicationProtocols),
  (node, { directRemoteAddress: { ip } }) => findRange(node, ip),
  findSourceType,
  (node, { remoteAddress: { ip } }) => findRange(node, ip),
  (node, { remoteAddress: { port } }) => node.children.get(String(port)) ?? node.children.get(""),
];

function find<Chain>(node: Node<Chain>, level: number, accepted: AcceptedSocket): Chain | undefined {
  const step = steps[level];
  if (step === undefined) return node.chain;
  const next = step(node, accepted);
  return next === undefined ? undefined : find(next, level + 1, accepted);
}

function findRange<Chain>(node: Node<Chain>, ip: string): Node<Chain> | undefined {
  if (node.ranges.length === 0) return node.children.get("");
  // A Unix socket is in no range but the widest of IPv4, as in Envoy.
  const address = isIP(ip) === 0 ? "255.255.255.255" : ip;
  return node.ranges.find(({ contains }) => contains(address))?.node ?? node.children.get("");
}

function findServerName<Chain>(node: Node<Chain>, name: string): Node<Chain> | undefined {
  const exact = node.children.get(name);
  if (exact !== undefined) return exact;
  for (let dot = name.indexOf(".", 1); dot >= 0 && dot < name.length - 1; dot = name.indexOf(".", dot + 1)) {
    const wildcard = node.children.get(name.slice(dot));
    if (wildcard !== undefined) return wildcard;
  }
  return node.children.get("");
}

function findProtocol<Chain>(node: Node<Chain>, protocols: readonly string[]): Node<Chain> | undefined {
  for (const protocol of protocols) {
    const found = node.children.get(protocol);
    if (found !== undefined) return found;
  }
  return node.children.get("");
}

function findSourceType<Chain>(node: Node<Chain>, accepted: AcceptedSocket): Node<Chain> | undefined {
  if (node.children.size === 1 && node.children.has("")) return node.children.get("");
  const type = isSameIpOrLoopback(accepted) ? "SAME_IP_OR_LOOPBACK" : "EXTERNAL";
  return node.children.get(type) ?? node.children.get("");
}
