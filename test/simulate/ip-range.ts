import { BlockList, isIP } from "node:net";
import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";

const mappedPrefix = /^::ffff:(?=\d+\.)/i;

/**
 * Length of the longest range that holds the address; undefined where none does. No ranges at all hold everything, at
 * length -1: less than any range (FilterChainMatch.prefix_ranges).
 */
export function findLongestPrefix(ranges: readonly CidrRange[] | undefined, address: string): number | undefined {
  if (ranges === undefined || ranges.length === 0) return -1;
  const lengths = ranges.filter((range) => isInRange(range, address)).map(({ prefix_len }) => prefix_len?.value ?? 0);
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}

export function isInRange(range: CidrRange, address: string): boolean {
  const [plain, prefix] = [address.replace(mappedPrefix, ""), (range.address_prefix ?? "").replace(mappedPrefix, "")];
  if (isIP(plain) === 0 || isIP(plain) !== isIP(prefix)) return false;
  const family = isIP(plain) === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(prefix, range.prefix_len?.value ?? 0, family);
  return list.check(plain, family);
}

export function isLoopback(address: string): boolean {
  return address === "::1" || isInRange({ address_prefix: "127.0.0.0", prefix_len: { value: 8 } }, address);
}
