/** Listeners of gateways. Istio: core/gateway.go buildGatewayListeners, core/listener.go buildGatewayListener. */
import { packAny } from "@meltemi/protos";
import type { FilterChain, Listener, ListenerFilter } from "@meltemi/protos/envoy/config/listener/v3";
import { type Message, type ObjectRef, objectKey } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { buildAddress } from "../address.ts";
import { type Built, sourcesOf } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import { exactBalance, tlsInspector } from "../listeners/listener-filters.ts";
import { deriveFilterFacts, type FilterFacts } from "../network-filters/filter-facts.ts";
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
  const facts = deriveFilterFacts(key, view.snapshot.mesh);
  const { gatewayTopology } = view.snapshot.mesh.defaultConfig;
  const readsProxyProtocol =
    gatewayTopology?.proxyProtocol !== undefined && hasExtension(view.key.capabilities, proxyProtocol.name ?? "");
  const leading = readsProxyProtocol ? [proxyProtocol] : [];
  return planGatewayListeners(view).listeners.map((plan) => buildListener(plan, facts, leading));
}

/** What is to be said of the Gateways of a view and of rules behind them: refused servers, ports and server names. */
export function listGatewayMessages(view: ScopeView): readonly Message[] {
  return [...mergedGatewaysOf(view).messages, ...listPrivilegeMessages(view), ...planGatewayListeners(view).messages];
}

function buildListener(
  { listener, chains: plans }: GatewayListenerPlan,
  facts: FilterFacts,
  leading: readonly ListenerFilter[],
): Built<Listener> {
  const { name, bind, port } = listener;
  const chains = plans.map((plan) => buildGatewayChain(plan, name, facts));
  const [owner = listener] = chains;
  // Server names and what is offered by TLS are read before a chain is chosen.
  const inspects = plans.some(({ tls, match }) => tls !== undefined || (match.serverNames ?? []).length > 0);
  const filters = inspects ? [...leading, tlsInspector] : leading;
  const logs = buildListenerAccessLogs(facts.mesh);
  return keptListeners({ owner, slot: name }, [...filters, ...chains, logs, facts.exactBalance.outbound], () => ({
    name,
    message: {
      name,
      address: buildAddress(bind, port),
      traffic_direction: "OUTBOUND",
      ...(facts.exactBalance.outbound ? exactBalance : {}),
      filter_chains: chains,
      ...(filters.length === 0 ? {} : { listener_filters: filters }),
      ...(logs.length === 0 ? {} : { access_log: logs }),
      // One connection for each wake-up, so that all worker threads get their share of a burst.
      max_connections_to_accept_per_socket_event: { value: 1 },
    },
    sources: listSources(chains),
  }));
}

function listSources(chains: readonly FilterChain[]): readonly ObjectRef[] {
  const refs = new Map<string, ObjectRef>();
  for (const chain of chains) for (const { object } of sourcesOf(chain)) refs.set(objectKey(object), object);
  return [...refs.values()];
}
