/** Listeners of gateways. Istio: core/gateway.go buildGatewayListeners, core/listener.go buildGatewayListener. */
import { packAny, u32 } from "@meltemi/protos";
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import type { FilterChain, Listener, ListenerFilter } from "@meltemi/protos/envoy/config/listener/v3";
import { type Message, type ObjectRef, objectKey } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { buildAddress, unspecifiedAddressV6 } from "../address.ts";
import { type Built, sourcesOf } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import { exactBalance, tlsInspector } from "../listeners/listener-filters.ts";
import { buildAcceptLimit } from "../listeners/listener-limits.ts";
import { resolveConnectionSettings } from "../network-filters/connection-settings.ts";
import { deriveFilterFacts, type FilterFacts, formatSharedFacts } from "../network-filters/filter-facts.ts";
import type { ListenerKey, ScopeView } from "../scope.ts";
import { buildListenerAccessLogs } from "../telemetry/access-log.ts";
import { buildGatewayChain } from "./gateway-chain.ts";
import { listPrivilegeMessages, mergedGatewaysOf } from "./merged-gateways.ts";
import { type GatewayListenerPlan, planGatewayListeners } from "./plan-chains.ts";

const proxyProtocol: ListenerFilter = {
  name: "envoy.filters.listener.proxy_protocol",
  typed_config: packAny("envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", {}),
};

const keptListeners = createSlotMemo<Built<Listener>>();

/** All listeners of a gateway, sorted by name. A listener that did not change is the same object again. */
export function buildGatewayListeners(view: ScopeView, key: ListenerKey): readonly Built<Listener>[] {
  const facts = deriveFilterFacts(key, view.snapshot);
  const { gatewayTopology } = view.snapshot.mesh.defaultConfig;
  const readsProxyProtocol =
    gatewayTopology?.proxyProtocol !== undefined && hasExtension(view.key.capabilities, proxyProtocol.name ?? "");
  const leading = readsProxyProtocol ? [proxyProtocol] : [];
  const { v4, v6 } = view.key.ipFamilies;
  const additional = facts.features.dualStack && v4 && v6 ? [unspecifiedAddressV6] : [];
  return planGatewayListeners(view).listeners.map((plan) => buildListener(plan, facts, { leading, additional }));
}

/** What is to be said of the Gateways of a view and of rules behind them: refused servers, ports and server names. */
export function listGatewayMessages(view: ScopeView): readonly Message[] {
  return [...mergedGatewaysOf(view).messages, ...listPrivilegeMessages(view), ...planGatewayListeners(view).messages];
}

interface EdgeOptions {
  /** Listener filters before all others. */
  readonly leading: readonly ListenerFilter[];
  /** More addresses for listeners that take all. */
  readonly additional: readonly string[];
}

function buildListener(
  { listener, chains: plans, isQuic }: GatewayListenerPlan,
  facts: FilterFacts,
  { leading, additional }: EdgeOptions,
): Built<Listener> {
  const { name, bind, port } = listener;
  const { listenerPerConnectionBufferLimitBytes: bufferLimit } = resolveConnectionSettings(facts.mesh, "gateway");
  const chains = plans.map((plan) => buildGatewayChain(plan, name, facts));
  const [owner = listener] = chains;
  // Server names and what is offered by TLS are read before a chain is chosen.
  const inspects = plans.some(({ tls, match }) => tls !== undefined || (match.serverNames ?? []).length > 0);
  const first = inspects ? [...leading, tlsInspector] : leading;
  const filters = isQuic ? [] : first;
  const addresses = listener.takesAllAddresses ? [bind, ...additional] : [bind];
  const logs = buildListenerAccessLogs(facts.mesh);
  const slot = `${name} ${formatSharedFacts(facts)} ${addresses.join()}`;
  return keptListeners({ owner, slot }, [...filters, ...chains, logs, facts.mesh], () => ({
    name,
    message: {
      name,
      ...placeAt(addresses, port, isQuic),
      traffic_direction: "OUTBOUND",
      ...(facts.exactBalance.outbound && !isQuic ? exactBalance : {}),
      ...(bufferLimit === undefined ? {} : { per_connection_buffer_limit_bytes: u32(bufferLimit) }),
      filter_chains: chains,
      ...(filters.length === 0 ? {} : { listener_filters: filters }),
      ...(logs.length === 0 ? {} : { access_log: logs }),
      ...buildAcceptLimit(facts),
    },
    sources: listSources(chains),
  }));
}

function placeAt(addresses: readonly string[], port: number, isQuic: boolean): Listener {
  const [address, ...additional] = addresses.map((text) =>
    isQuic ? buildUdpAddress(text, port) : buildAddress(text, port),
  );
  return {
    ...(address === undefined ? {} : { address }),
    ...(additional.length === 0 ? {} : { additional_addresses: additional.map((more) => ({ address: more })) }),
    ...(isQuic ? { udp_listener_config: { quic_options: {}, downstream_socket_config: {} } } : {}),
  };
}

function buildUdpAddress(address: string, port: number): Address {
  return { socket_address: { protocol: "UDP", address, port_value: port } };
}

function listSources(chains: readonly FilterChain[]): readonly ObjectRef[] {
  const refs = new Map<string, ObjectRef>();
  for (const chain of chains) for (const { object } of sourcesOf(chain)) refs.set(objectKey(object), object);
  return [...refs.values()];
}
