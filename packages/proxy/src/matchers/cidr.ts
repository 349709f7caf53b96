import { BlockList, isIP } from "node:net";
import type { CidrRange } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError } from "../lib/config-error.ts";
import { wrappedNumber } from "../lib/wrapped.ts";

/** A test of IP addresses (without brackets): true in any of the ranges. Throws ConfigError. */
export function compileCidrs(ranges: readonly CidrRange[]): (ip: string) => boolean {
  const list = new BlockList();
  for (const [index, range] of ranges.entries()) addRange(list, range, `[${index}]`);
  return (ip) => {
    const version = isIP(ip);
    return version !== 0 && list.check(ip, version === 4 ? "ipv4" : "ipv6");
  };
}

function addRange(
  list: BlockList,
  { address_prefix: address = "", prefix_len: length }: CidrRange,
  path: string,
): void {
  const version = isIP(address);
  if (version === 0) throw new ConfigError(`${path}.address_prefix`, `"${address}" is no IP address`);
  // A length that is too long is cut, one that is missing is 0: as in Envoy.
  const bits = Math.min(wrappedNumber(length, 0), version === 4 ? 32 : 128);
  list.addSubnet(address, bits, version === 4 ? "ipv4" : "ipv6");
}
