/**
 * Filter chains before they are wire objects: plain data, so that chains of several services can be compared and merged,
 * and so that equal plans give the same listener again.
 */

import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import { parseAddressBits } from "../../lib/ip-address.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { ObjectRef } from "../../lib/message.ts";
import type { Protocol } from "../../lib/protocol.ts";
import type { Features } from "../../model/features.ts";
import type { PartSource } from "../built.ts";
import { isForUnknownHosts } from "../dns/dynamic-forward.ts";
import type { L4Target } from "../tcp-routes/l4-target.ts";
import { parseCidrRange } from "./addresses.ts";

export interface ChainMatch {
  /** Names of the TLS handshake. */
  readonly serverNames?: readonly string[];
  /** Destination addresses: single ones or blocks. */
  readonly prefixes?: readonly string[];
  readonly applicationProtocols?: readonly string[];
  readonly transportProtocol?: "raw_buffer" | "tls";
}

export type ChainContent =
  | {
      readonly kind: "http";
      readonly routeName: string;
      readonly protocol: Protocol;
      /** Where names of requests are looked up that go to whatever host they name. */
      readonly dnsCaches?: readonly DnsCacheConfig[];
    }
  | { readonly kind: "tcp"; readonly protocol: Protocol; readonly target: L4Target };

export interface ChainPlan {
  readonly match: ChainMatch;
  readonly content: ChainContent;
  /** The object that telemetry names as the reason for the chain. */
  readonly config?: ObjectRef;
  readonly sources: readonly PartSource[];
}

/** What the HTTP inspector finds in plain text; "http/1.0" goes through as TCP unless a proxy accepts it. */
export const plaintextHttpProtocols: readonly string[] = ["http/1.1", "h2c"];

/** The same, with "http/1.0" where every proxy accepts it. */
export function listPlaintextHttp({ http10 }: Pick<Features, "http10">): readonly string[] {
  return http10 ? ["http/1.0", ...plaintextHttpProtocols] : plaintextHttpProtocols;
}

/** The same chains, where requests may also be for whatever host of a service they name. */
export function addDnsCache(chains: readonly ChainPlan[], cache: DnsCacheConfig): readonly ChainPlan[] {
  return chains.map((chain) => {
    const { content } = chain;
    if (content.kind !== "http" || content.dnsCaches?.some(({ name }) => name === cache.name)) return chain;
    const known = content.dnsCaches ?? [];
    // The cache for hosts that no service has stays the last.
    const dnsCaches = [
      ...known.filter((other) => !isForUnknownHosts(other)),
      cache,
      ...known.filter(isForUnknownHosts),
    ];
    return { ...chain, content: { ...content, dnsCaches } };
  });
}

/** The same chain, but only for what the HTTP inspector finds to be HTTP in plain text. */
export function matchPlaintextHttp(chain: ChainPlan, features: Pick<Features, "http10">): ChainPlan {
  return {
    ...chain,
    match: { ...chain.match, applicationProtocols: listPlaintextHttp(features), transportProtocol: "raw_buffer" },
  };
}

/** True where the chain takes every connection. */
export function isMatchAll({ match }: ChainPlan): boolean {
  const { serverNames = [], prefixes = [], applicationProtocols = [], transportProtocol } = match;
  const takesNames = serverNames.length === 0 || serverNames.includes("*");
  return takesNames && prefixes.length === 0 && applicationProtocols.length === 0 && transportProtocol === undefined;
}

/**
 * Chains after others, as far as they match anything that those do not: Envoy refuses a listener where two chains, or
 * one of them twice, name the same combination of address and server name. The first chain wins.
 */
export function appendChains(existing: readonly ChainPlan[], incoming: readonly ChainPlan[]): readonly ChainPlan[] {
  const taken = new Set(existing.flatMap(listCombinations));
  return [...existing, ...incoming.flatMap(keepMatchableNames).flatMap((chain) => takeRest(chain, taken))];
}

/**
 * The chain with those server names that Envoy can match, or none where it had no others: a wildcard must be a whole
 * label, and Envoy refuses a listener with "*-b.example.com". Without any name the chain would take everything.
 */
export function keepMatchableNames<Chain extends ChainPlan>(chain: Chain): readonly Chain[] {
  const { serverNames = [] } = chain.match;
  const matchable = serverNames.filter((name) => name === "*" || !name.replace(/^\*\./, "").includes("*"));
  if (matchable.length === serverNames.length) return [chain];
  return matchable.length === 0 ? [] : [{ ...chain, match: { ...chain.match, serverNames: matchable } }];
}

/** The conditions of a chain, as Envoy compares them. */
interface Conditions {
  /** Blocks with only the bits that count, with how they are written; one "" for any address. */
  readonly blocks: ReadonlyMap<string, string>;
  /** One "" for any name. */
  readonly names: ReadonlySet<string>;
  /** All other conditions as text. */
  readonly rest: string;
  readonly hasRepeated: boolean;
}

const conditionsOf: (match: ChainMatch) => Conditions = memoByIdentity((match: ChainMatch): Conditions => {
  const { serverNames = [], prefixes = [], applicationProtocols = [], transportProtocol = "" } = match;
  const takesAnyName = serverNames.length === 0 || serverNames.includes("*");
  const written = prefixes.flatMap((text) => {
    const range = parseCidrRange(text);
    return range === undefined ? [] : [[normalizeRange(range), text] as const];
  });
  // Of blocks that are the same for Envoy the one that is written first stays.
  const blocks = new Map(written.toReversed());
  const names = new Set(takesAnyName ? [""] : serverNames);
  return {
    blocks: written.length === 0 ? new Map([["", ""]]) : new Map([...blocks].reverse()),
    names,
    rest: JSON.stringify([transportProtocol, applicationProtocols]),
    hasRepeated: blocks.size < written.length || (!takesAnyName && names.size < serverNames.length),
  };
});

const combine = (block: string, name: string, rest: string): string => `${block} ${name} ${rest}`;

const listCombinations = ({ match }: ChainPlan): readonly string[] => {
  const { blocks, names, rest } = conditionsOf(match);
  return [...blocks.keys()].flatMap((block) => [...names].map((name) => combine(block, name, rest)));
};

/** The chain for what is not taken yet, which it takes: none, itself, or a chain for each set of names that is left. */
function takeRest(chain: ChainPlan, taken: Set<string>): readonly ChainPlan[] {
  const { blocks, names, rest, hasRepeated } = conditionsOf(chain.match);
  const isFree = !listCombinations(chain).some((combination) => taken.has(combination));
  const groups = new Map<string, { readonly names: readonly string[]; readonly blocks: string[] }>();
  for (const [block, text] of blocks) {
    const free = [...names].filter((name) => !taken.has(combine(block, name, rest)));
    for (const name of free) taken.add(combine(block, name, rest));
    if (free.length === 0) continue;
    const key = JSON.stringify(free);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { names: free, blocks: [text] });
    else group.blocks.push(text);
  }
  if (isFree && !hasRepeated) return [chain];
  return [...groups.values()].map((group) => ({
    ...chain,
    match: {
      ...chain.match,
      ...(names.has("") ? {} : { serverNames: group.names }),
      ...(blocks.has("") ? {} : { prefixes: group.blocks }),
    },
  }));
}

/** Only the bits of a block that count. */
function normalizeRange({ address_prefix: address = "", prefix_len: length }: CidrRange): string {
  const { bits, size } = parseAddressBits(address);
  const rest = BigInt(size - (length?.value ?? 0));
  return `${size} ${(bits >> rest) << rest}/${rest}`;
}
