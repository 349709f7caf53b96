/**
 * Filter chains before they are wire objects: plain data, so that chains of several services can be compared and merged,
 * and so that equal plans give the same listener again.
 */
import type { ObjectRef } from "../../lib/message.ts";
import type { Protocol } from "../../model/protocol.ts";
import type { PartSource } from "../built.ts";
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
  | { readonly kind: "http"; readonly routeName: string; readonly protocol: Protocol }
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

/** The same chain, but only for what the HTTP inspector finds to be HTTP in plain text. */
export function matchPlaintextHttp(chain: ChainPlan): ChainPlan {
  return {
    ...chain,
    match: { ...chain.match, applicationProtocols: plaintextHttpProtocols, transportProtocol: "raw_buffer" },
  };
}

/** True where the chain takes every connection. */
export function isMatchAll({ match }: ChainPlan): boolean {
  const { serverNames = [], prefixes = [], applicationProtocols = [], transportProtocol } = match;
  const takesNames = serverNames.length === 0 || serverNames.includes("*");
  return takesNames && prefixes.length === 0 && applicationProtocols.length === 0 && transportProtocol === undefined;
}

/**
 * Text that is equal for chains that match the same connections: Envoy refuses a listener with two of these. Order does
 * not count, nor do blocks written differently or entries that match everything.
 */
export function matchIdentity({ match }: ChainPlan): string {
  const names = (match.serverNames ?? []).filter((name) => name !== "*");
  const blocks = (match.prefixes ?? []).flatMap(normalizeBlock);
  return JSON.stringify([
    match.transportProtocol ?? "",
    match.applicationProtocols ?? [],
    [...new Set(names)].sort(),
    [...new Set(blocks)].sort(),
  ]);
}

function normalizeBlock(text: string): readonly string[] {
  const range = parseCidrRange(text);
  if (range === undefined) return [];
  const { address_prefix: address = "", prefix_len: length } = range;
  return [`${maskAddress(address, length?.value ?? 0)}/${length?.value ?? 0}`];
}

/** Only the bits of an IPv4 block that count; IPv6 blocks are compared as they are written. */
function maskAddress(address: string, length: number): string {
  if (address.includes(":")) return address;
  const bits = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - length);
  return String(Math.floor(bits / size) * size);
}
