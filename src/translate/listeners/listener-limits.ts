/** Fields of listeners that are the same in every direction (Istio: networking/core/listener.go). */
import { duration, u32 } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { buildAddress } from "../address.ts";
import type { ProxyFacts } from "../network-filters/filter-facts.ts";

/**
 * Few connections for each wake-up, so that all worker threads get their share of a burst. Only listeners that take
 * connections from the kernel need it.
 */
export function buildAcceptLimit({ features }: ProxyFacts): Listener {
  const { connectionsPerEvent } = features;
  return connectionsPerEvent === 0 ? {} : { max_connections_to_accept_per_socket_event: u32(connectionsPerEvent) };
}

/** A client that never finishes its handshake would hold a connection for ever (Istio: C46). */
export function buildHandshakeTimeout({ features }: ProxyFacts): FilterChain {
  const { handshakeTimeoutMs } = features;
  return handshakeTimeoutMs === 0 ? {} : { transport_socket_connect_timeout: duration(handshakeTimeoutMs) };
}

export function buildAdditionalAddresses(addresses: readonly string[], port: number): Listener {
  if (addresses.length === 0) return {};
  return { additional_addresses: addresses.map((address) => ({ address: buildAddress(address, port) })) };
}
