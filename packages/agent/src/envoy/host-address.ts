/** Addresses as host:port, in which $(HOST_IP) stands for the node: collectors of traces run once a node. */
import { isIP } from "node:net";
import { ConfigError } from "../config/proxy-config.ts";

export interface HostAddress {
  readonly host: string;
  readonly port: number;
}

/** Parses an address of the ProxyConfig field `what`. Throws ConfigError where it is none. */
export function parseHostAddress(what: string, text: string, hostIp: string): HostAddress {
  const [, bracketed, plain, digits] = /^(?:\[(.+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "";
  const port = Number(digits);
  if (host === "" || !(port > 0 && port <= 65_535)) throw new ConfigError(`ProxyConfig: ${what} must be host:port`);
  return { host: host === "$(HOST_IP)" && hostIp !== "" ? hostIp : host, port };
}

/** Replaces $(HOST_IP) in a text such as the bootstrap's override; an IPv6 address is put in brackets. */
export function replaceHostIp(text: string, hostIp: string): string {
  const address = isIP(hostIp) === 6 ? `[${hostIp}]` : hostIp;
  return text.replaceAll("[$(HOST_IP)]", address).replaceAll("$(HOST_IP)", address);
}
