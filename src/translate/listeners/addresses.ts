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

/** Orders addresses and blocks by family, number and length. */
export function compareRanges(a: string, b: string): number {
  const [left, right] = [measureRange(a), measureRange(b)];
  if (left.size !== right.size) return left.size - right.size;
  if (left.bits !== right.bits) return left.bits < right.bits ? -1 : 1;
  return left.length - right.length;
}

function measureRange(text: string) {
  const { address_prefix: address = unspecifiedAddress, prefix_len: length } = parseCidrRange(text) ?? {};
  return { ...parseAddressBits(address), length: length?.value ?? 0 };
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
