/** All outbound listeners of a sidecar: those for services, the HTTP proxy and the one that redirected traffic comes to. */
import { bool } from "@meltemi/protos";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { refOf } from "../../api/object.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { loopbackOf } from "../address.ts";
import type { Built } from "../built.ts";
import { httpProxyRoute } from "../names.ts";
import { deriveFilterFacts, type FilterFacts } from "../network-filters/filter-facts.ts";
import type { ListenerKey, ScopeView } from "../scope.ts";
import { findEgressCluster } from "./egress-cluster.ts";
import type { ListenerBuilder } from "./listener-memo.ts";
import { buildOnce, formatSharedFacts } from "./listener-memo.ts";
import { type OutboundEntry, planOutboundEntries } from "./outbound-entries.ts";
import { buildOutboundListener, type OutboundListenerPlan } from "./outbound-listener.ts";
import { canListen } from "./reserved-ports.ts";
import { buildVirtualOutboundListener, type VirtualOutboundPlan } from "./virtual-outbound.ts";

/** Connection managers say in their tracing who the workload is. */
function readsIdentity({ chains }: Pick<OutboundListenerPlan, "chains">): boolean {
  return chains.some(({ content }) => content.kind === "http");
}

const serviceListener: ListenerBuilder<OutboundListenerPlan> = {
  build: buildOutboundListener,
  readsIdentity,
};

const virtualListener: ListenerBuilder<VirtualOutboundPlan> = {
  build: buildVirtualOutboundListener,
  readsIdentity: () => false,
};

/** Listeners sorted by name, then those that are not for services. A listener that stays equal is the same object. */
export function outboundListeners(view: ScopeView, key: ListenerKey): readonly Built<Listener>[] {
  const facts = deriveFilterFacts(key, view.snapshot.mesh);
  const fallthrough = findEgressCluster(view);
  const services = planOutboundEntries(view)
    // Traffic to the workload's own address does not come by here.
    .filter(({ isEndpoint, bind }) => !isEndpoint || !key.ownHeadlessAddresses.includes(bind))
    .map((entry) => buildEntry(entry, fallthrough, facts));
  return [...services, ...buildHttpProxy(view, facts), ...buildVirtual(view, facts, fallthrough)];
}

/** Most listeners are for TCP and the same for all workloads of a scope: those are found again by their entry alone. */
function buildEntry(entry: OutboundEntry, fallthrough: string, facts: FilterFacts): Built<Listener> {
  if (readsIdentity(entry)) return buildFromPlan(entry, fallthrough, facts);
  return sharedEntries({ owner: entry, slot: `${fallthrough} ${formatSharedFacts(facts)}` }, [facts.mesh], () =>
    buildFromPlan(entry, fallthrough, facts),
  );
}

const sharedEntries = createSlotMemo<Built<Listener>>();

function buildFromPlan(entry: OutboundEntry, fallthrough: string, facts: FilterFacts): Built<Listener> {
  const { sources, bind, port, bindsToPort, chains } = entry;
  return toBuilt(buildOnce({ bind, port, bindsToPort, chains, fallthrough }, facts, serviceListener), [...sources]);
}

/**
 * A proxy for absolute URLs on the workload's loopback, where the mesh or the proxy itself asks for one
 * (MeshConfig.proxyHttpPort, metadata HTTP_PROXY_PORT).
 */
function buildHttpProxy(view: ScopeView, facts: FilterFacts): readonly Built<Listener>[] {
  const { key, snapshot } = view;
  const port = key.httpProxyPort ?? snapshot.mesh.proxyHttpPort;
  const bind = loopbackOf(key);
  if (port === 0 || !canListen(key, { bind, port, protocol: "HTTP_PROXY", bindsToPort: true }, snapshot.mesh))
    return [];
  const plan: OutboundListenerPlan = {
    bind,
    port,
    bindsToPort: true,
    chains: [{ match: {}, content: { kind: "http", routeName: httpProxyRoute, protocol: "HTTP_PROXY" }, sources: [] }],
    fallthrough: undefined,
    connectionManager: buildProxyFields(facts),
  };
  return [toBuilt(buildOnce(plan, facts, serviceListener), [])];
}

function buildProxyFields({ acceptHttp10 }: FilterFacts): HttpConnectionManager {
  const options = { allow_absolute_url: bool(true), ...(acceptHttp10 ? { accept_http_10: true } : {}) };
  return { http_protocol_options: options, proxy_100_continue: false };
}

/** Nothing is redirected to a proxy with interception NONE. */
function buildVirtual(view: ScopeView, facts: FilterFacts, egressCluster: string): readonly Built<Listener>[] {
  const { key, snapshot, sidecar } = view;
  if (key.interceptionMode === "NONE") return [];
  const { v4, v6 } = key.ipFamilies;
  const plan = {
    ipFamilies: { v4, v6 },
    port: snapshot.mesh.proxyListenPort,
    isTransparent: key.interceptionMode === "TPROXY",
    egressCluster,
  };
  const decidesPolicy = sidecar?.spec.outboundTrafficPolicy !== undefined;
  return [toBuilt(buildOnce(plan, facts, virtualListener), decidesPolicy ? [refOf(sidecar)] : [])];
}

function toBuilt(message: Listener, sources: readonly ObjectRef[]): Built<Listener> {
  return { name: message.name ?? "", message, sources };
}
