/** Addresses on the wire, and those that stand for the host itself. */
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import { parseUnixPath } from "../lib/host-port.ts";
import { unspecifiedAddress } from "../model/service.ts";
import type { ScopeKey } from "./scope.ts";

/** All addresses of IPv6. */
export const unspecifiedAddressV6 = "::";

/** What of a scope decides about its own addresses. */
export type IpKey = Pick<ScopeKey, "ipFamilies">;

/** An IP address or host name with a port, or a Unix socket ("unix:///path", whatever the port). */
export function buildAddress(address: string, port: number): Address {
  const path = parseUnixPath(address);
  return path === undefined ? { socket_address: { address, port_value: port } } : { pipe: { path } };
}

/** All addresses of the host: IPv4's where the proxy has IPv4. */
export function wildcardOf({ ipFamilies }: IpKey): string {
  return ipFamilies.v4 || !ipFamilies.v6 ? unspecifiedAddress : unspecifiedAddressV6;
}

export function loopbackOf(key: IpKey): string {
  return wildcardOf(key) === unspecifiedAddress ? "127.0.0.1" : "::1";
}
