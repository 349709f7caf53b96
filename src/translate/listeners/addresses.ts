/** Addresses that listeners are bound to. */

import { isIP } from "node:net";
import { u32 } from "@meltemi/protos";
import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import { parseAddressBits } from "../../lib/ip-address.ts";
import type { Features } from "../../model/features.ts";
import { type Service, unspecifiedAddress } from "../../model/service.ts";
import { type IpKey, loopbackOf, unspecifiedAddressV6, wildcardOf } from "../address.ts";
import { type DomainScope, listClientAddresses } from "../routes/host-domains.ts";

/** One place at which a service is listened for. */
export interface ListenPlace {
  /** All addresses where the service has none, or a block of them. */
  readonly bind: string;
  /** More addresses of the same listener. */
  readonly additional: readonly string[];
  /** The block of addresses, in CIDR notation, that tells the service from others of the listener. */
  readonly block?: string;
}

/** What decides about the places of listeners. */
export interface PlaceContext {
  readonly key: DomainScope & IpKey;
  readonly features: Pick<Features, "dualStack">;
}

/**
 * Places of a service for connections (Istio: model.Service GetAddressForProxy, GetExtraAddressesForProxy). Each address
 * of a ServiceEntry is one, of whatever family: Istio makes a service of each. Those of a Kubernetes service, and those
 * that the mesh has made up, are one listener.
 */
export function listListenPlaces(service: Service, { key, features }: PlaceContext): readonly ListenPlace[] {
  const stated = service.registry === "External" ? listStatedAddresses(service) : [];
  if (stated.length > 0) return stated.map((address) => placeOf(address, key));
  const [bind, ...additional] = listClusterAddresses(service, key, features);
  if (bind === undefined) return [wildcardPlace(key)];
  return bind.includes("/") ? [placeOf(bind, key)] : [{ bind, additional }];
}

/** All addresses of the host, of both families where the proxy has both. */
export function wildcardPlace(key: IpKey): ListenPlace {
  const { v4, v6 } = key.ipFamilies;
  return { bind: wildcardOf(key), additional: v4 && v6 ? [unspecifiedAddressV6] : [] };
}

/** The host itself, by both families where the proxy has both. */
export function loopbackPlace(key: IpKey): ListenPlace {
  const { v4, v6 } = key.ipFamilies;
  return { bind: loopbackOf(key), additional: v4 && v6 ? ["::1"] : [] };
}

function placeOf(address: string, key: IpKey): ListenPlace {
  return address.includes("/") ? { ...wildcardPlace(key), block: address } : { bind: address, additional: [] };
}

function listStatedAddresses({ addresses }: Service): readonly string[] {
  return addresses.filter((address) => address !== "" && address !== unspecifiedAddress);
}

/** Addresses of a service. Of proxies with both families only dual stack uses both; otherwise the first address decides. */
export function listClusterAddresses(
  service: Service,
  key: PlaceContext["key"],
  { dualStack }: PlaceContext["features"],
): readonly string[] {
  const { v4, v6 } = key.ipFamilies;
  if (!dualStack || !v4 || !v6) return listClientAddresses(key, service);
  const own = listStatedAddresses(service);
  if (own.length > 0 || !key.dnsCapture) return own;
  return [service.autoAllocatedAddress, service.autoAllocatedAddressV6].filter((address) => address !== undefined);
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
