/** Which listeners, chains and filters a patch is for (Istio: networking/core/envoyfilter/listener_patch.go). */
import type { Filter, FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { PatchMatch } from "../../api/envoy-filter/schema.ts";
import { virtualInboundListener, virtualOutboundListener } from "../names.ts";
import type { CompiledPatch } from "./compile-filter.ts";

type FilterMatch = NonNullable<NonNullable<NonNullable<PatchMatch["listener"]>["filterChain"]>["filter"]>;

function isVirtual({ name }: Listener): boolean {
  return name === virtualInboundListener || name === virtualOutboundListener;
}

/** The virtual listeners have chains for many ports: there, ports are compared with those of chains. */
export function matchesListener(listener: Listener, { applyTo, match }: CompiledPatch): boolean {
  const { name = "", portNumber = 0 } = match.listener ?? {};
  if (name !== "" && name !== listener.name) return false;
  if (applyTo !== "LISTENER" && isVirtual(listener)) return true;
  return portNumber === 0 || listener.address?.socket_address?.port_value === portNumber;
}

/** For chains of a listener that matches. */
export function matchesChain(listener: Listener, chain: FilterChain, { match }: CompiledPatch): boolean {
  const { portNumber = 0, filterChain = {} } = match.listener ?? {};
  const { filter_chain_match: own = {} } = chain;
  const port = own.destination_port?.value ?? 0;
  if (isVirtual(listener) && portNumber > 0 && port !== portNumber) return false;
  const { name = "", sni = "", transportProtocol = "", applicationProtocols = "", destinationPort = 0 } = filterChain;
  if (name !== "" && name !== chain.name) return false;
  if (sni !== "" && own.server_names?.includes(sni) !== true) return false;
  if (transportProtocol !== "" && own.transport_protocol !== transportProtocol) return false;
  if (destinationPort !== 0 && port !== destinationPort) return false;
  if (applicationProtocols === "") return true;
  return applicationProtocols.split(",").every((protocol) => own.application_protocols?.includes(protocol) === true);
}

/** The network filter that a patch names; undefined where it names none, which means all. */
export function findFilterMatch({ match }: CompiledPatch): FilterMatch | undefined {
  return match.listener?.filterChain?.filter;
}

/** For network filters of a chain that matches. */
export function matchesNetworkFilter(filter: Filter, patch: CompiledPatch): boolean {
  const named = findFilterMatch(patch);
  return named === undefined || (named.name ?? "") === (filter.name ?? "");
}
