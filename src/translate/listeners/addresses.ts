/** Addresses that listeners are bound to. */

import { isIP } from "node:net";
import { u32 } from "@meltemi/protos";
import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import { type Service, unspecifiedAddress } from "../../model/service.ts";
import { type IpKey, wildcardOf } from "../address.ts";
import { type DomainScope, listClientAddresses } from "../routes/host-domains.ts";

/** Where clients of a service connect to. */
export interface ListenAddresses {
  /** Single addresses; the wildcard where the service has no address at all. Empty where it has blocks only. */
  readonly hosts: readonly string[];
  /** Blocks of addresses in CIDR notation. */
  readonly blocks: readonly string[];
}

/**
 * Addresses of a service of those families that the proxy has (Istio: model.Service.GetAddressForProxy). Where the first
 * is a block, single ones are matched as the blocks are.
 */
export function listListenAddresses(service: Service, key: DomainScope & IpKey): ListenAddresses {
  const usable = listClientAddresses(key, service).filter((address) => isUsable(address, key));
  if (usable.length === 0) return { hosts: [wildcardOf(key)], blocks: [] };
  if (usable[0]?.includes("/")) return { hosts: [], blocks: usable };
  return {
    hosts: usable.filter((address) => !address.includes("/")),
    blocks: usable.filter((address) => address.includes("/")),
  };
}

function isUsable(address: string, { ipFamilies: { v4, v6 } }: IpKey): boolean {
  const family = isIP(address.split("/", 1)[0] ?? "");
  return family === 6 ? v6 : family === 4 && (v4 || !v6);
}

/** Parses an address or a block; undefined where it is neither, and for the block of all addresses. */
export function parseCidrRange(text: string): CidrRange | undefined {
  const [address = "", bits] = text.split("/");
  const family = isIP(address);
  const most = family === 4 ? 32 : 128;
  const length = bits === undefined ? most : Number(bits);
  if (family === 0 || !Number.isInteger(length) || length < 0 || length > most) return undefined;
  return address === unspecifiedAddress ? undefined : { address_prefix: address, prefix_len: u32(length) };
}

/** The bits of an IP address as a number, and how many there are: 32 or 128. The text must be one (isIP). */
export function parseAddressBits(address: string): { readonly bits: bigint; readonly size: 32 | 128 } {
  if (isIP(address) === 4) return { bits: joinParts(address.split(".").map(Number), 8n), size: 32 };
  // An IPv4 address may stand for the last two groups; a zone (%eth0) is no part of the number.
  const text = (address.split("%")[0] ?? "").replace(/[0-9.]+$/, (last) =>
    last.includes(".") ? toGroups(last) : last,
  );
  const [head = [], tail] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const missing = tail === undefined ? 0 : 8 - head.length - tail.length;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...(tail ?? [])];
  return {
    bits: joinParts(
      groups.map((group) => Number.parseInt(group, 16)),
      16n,
    ),
    size: 128,
  };
}

function toGroups(ipv4: string): string {
  const bits = joinParts(ipv4.split(".").map(Number), 8n);
  return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`;
}

function joinParts(parts: readonly number[], width: bigint): bigint {
  return parts.reduce((sum, part) => (sum << width) + BigInt(part), 0n);
}
