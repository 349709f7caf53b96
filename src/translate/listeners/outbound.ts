/** All outbound listeners of a sidecar: those for services, the HTTP proxy and the one that redirected traffic comes to. */

import { bool } from "@meltemi/protos";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import { refOf } from "../../api/object.ts";
import type { ObjectRef } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { unspecifiedAddress } from "../../model/service.ts";
import type { Built } from "../built.ts";
import { findUnknownHostCache } from "../dns/dynamic-forward.ts";
import { httpProxyRoute } from "../names.ts";
import { deriveFilterFacts, type FilterFacts, formatSharedFacts } from "../network-filters/filter-facts.ts";
import { routeFactsOf } from "../routes/route-facts.ts";
import { findUnknownHost } from "../routes/unknown-host.ts";
import type { ListenerKey, ScopeView } from "../scope.ts";
import { loopbackPlace, wildcardPlace } from "./addresses.ts";
import { findEgressCluster } from "./egress-cluster.ts";
import { buildOnce, type ListenerBuilder } from "./listener-memo.ts";
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
  readsIdentity: ({ unknownHosts }) => unknownHosts !== undefined,
};

/** Listeners sorted by name, then those that are not for services. A listener that stays equal is the same object. */
export function outboundListeners(view: ScopeView, key: ListenerKey): readonly Built<Listener>[] {
  const facts = deriveFilterFacts(key, view.snapshot);
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
  const { sources, bind, additional, port, bindsToPort, chains } = entry;
  return toBuilt(buildOnce({ bind, additional, port, bindsToPort, chains, fallthrough }, facts, serviceListener), [
    ...sources,
  ]);
}

/**
 * A proxy for absolute URLs on the workload's loopback, where the mesh or the proxy itself asks for one
 * (MeshConfig.proxyHttpPort, metadata HTTP_PROXY_PORT).
 */
function buildHttpProxy(view: ScopeView, facts: FilterFacts): readonly Built<Listener>[] {
  const { key, snapshot } = view;
  const port = key.httpProxyPort ?? snapshot.mesh.proxyHttpPort;
  const place = loopbackPlace(key);
  const { bind } = place;
  if (port === 0 || !canListen(key, { bind, port, protocol: "HTTP_PROXY", bindsToPort: true }, snapshot.mesh))
    return [];
  const plan: OutboundListenerPlan = {
    ...place,
    port,
    bindsToPort: true,
    chains: [
      {
        match: {},
        content: { kind: "http", routeName: httpProxyRoute, protocol: "HTTP_PROXY", ...describeCaches(view) },
        sources: [],
      },
    ],
    fallthrough: undefined,
    connectionManager: {
      http_protocol_options: { allow_absolute_url: bool(true) },
      use_remote_address: bool(false),
    },
  };
  return [toBuilt(buildOnce(plan, facts, serviceListener), [])];
}

/** Nothing is redirected to a proxy with interception NONE. */
function buildVirtual(view: ScopeView, facts: FilterFacts, egressCluster: string): readonly Built<Listener>[] {
  const { key, snapshot, sidecar } = view;
  if (key.interceptionMode === "NONE") return [];
  const plan = {
    ...wildcardPlace(key),
    additional: listMoreWildcards(view),
    port: snapshot.mesh.proxyListenPort,
    isTransparent: key.interceptionMode === "TPROXY",
    egressCluster,
    ...planUnknownHosts(view),
  };
  const decidesPolicy = sidecar?.spec.outboundTrafficPolicy !== undefined;
  return [toBuilt(buildOnce(plan, facts, virtualListener), decidesPolicy ? [refOf(sidecar)] : [])];
}

/** Dual stack takes redirected traffic of both families; proxies with IPv6 alone may be asked to take IPv4 as well. */
function listMoreWildcards({ key, snapshot }: ScopeView): readonly string[] {
  const { v4, v6 } = key.ipFamilies;
  const { dualStack, ipv4OutboundListener } = snapshot.features;
  if (dualStack && v4 && v6) return wildcardPlace(key).additional;
  return ipv4OutboundListener && v6 && !v4 ? [unspecifiedAddress] : [];
}

function toBuilt(message: Listener, sources: readonly ObjectRef[]): Built<Listener> {
  return { name: message.name ?? "", message, sources };
}

function describeCaches(view: ScopeView): { readonly dnsCaches?: readonly DnsCacheConfig[] } {
  const cache = findUnknownHostCache(view);
  return cache === undefined ? {} : { dnsCaches: [cache] };
}

/** Requests in plain text to ports that no service has, where hosts outside of the mesh are looked up by the proxy. */
function planUnknownHosts(view: ScopeView): Pick<VirtualOutboundPlan, "unknownHosts"> {
  const cache = findUnknownHostCache(view);
  if (cache === undefined) return {};
  return { unknownHosts: { cache, host: findUnknownHost(view, routeFactsOf(view)) } };
}
