/** upstream_bind_config: which address of this machine connections to hosts come from. */
import { isIPv6 } from "node:net";
import type { BindConfig, SocketAddress } from "@meltemi/protos/envoy/config/core/v3";
import { ConfigError, within } from "../../lib/config-error.ts";

export type BindAddress = (hostIp: string) => { readonly localAddress?: string; readonly localPort?: number };

/**
 * The first address of the family of the host, as Envoy chooses. Throws ConfigError for socket options, which the platform has
 * no way to set; `freebind` changes nothing where the address is this machine's, and nothing works where it is not.
 */
export function compileBindAddress(config: BindConfig | undefined): BindAddress {
  if (config === undefined) return () => ({});
  return within("upstream_bind_config", () => {
    if (config.local_address_selector) throw new ConfigError("local_address_selector", "is not implemented");
    if ((config.socket_options ?? []).length > 0) throw new ConfigError("socket_options", "are not implemented");
    const extra = (config.extra_source_addresses ?? []).map(({ address }) => address);
    const all = [config.source_address, ...(config.additional_source_addresses ?? []), ...extra];
    const addresses = all.filter((address): address is SocketAddress => address?.address !== undefined);
    const [v4, v6] = [false, true].map((isSix) => addresses.find(({ address }) => isIPv6(address ?? "") === isSix));
    return (hostIp) => buildBinding(isIPv6(hostIp) ? v6 : v4);
  });
}

function buildBinding(address: SocketAddress | undefined): ReturnType<BindAddress> {
  // "0.0.0.0" means any, which is also what the system does of itself.
  if (address?.address === undefined || address.address === "0.0.0.0" || address.address === "::") return {};
  const port = address.port_value ?? 0;
  return { localAddress: address.address, ...(port > 0 && { localPort: port }) };
}
