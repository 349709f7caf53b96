/**
 * The virtual host behind all others: what becomes of requests to hosts that the scope does not know. Rules: Istio
 * httproute.go buildCatchAllVirtualHost, istio.io/docs/reference/config/istio.mesh.v1alpha1 (outboundTrafficPolicy).
 */
import type { Route, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { OutboundTrafficPolicy } from "../../api/sidecar/schema.ts";
import { resolveShortHost } from "../../lib/hostname.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import {
  allowAnyVirtualHost,
  blockAllVirtualHost,
  dynamicDnsCluster,
  dynamicDnsVirtualHost,
  passthroughCluster,
} from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { buildDestinationCluster } from "./destinations.ts";
import { buildTimeouts } from "./route-action.ts";
import type { RouteFacts } from "./route-facts.ts";

const blockedStatus = 502;

const kept = createSlotMemo<VirtualHost>();
// There are only a few kinds of this host, and all scopes share them.
const owner = {};

/** The same object for all scopes whose policy is the same. */
export function findUnknownHost(view: ScopeView, facts: RouteFacts): VirtualHost {
  const route = planRoute(view, facts);
  const slot = JSON.stringify([route, facts.includesAttemptCount]);
  return kept({ owner, slot }, [], () => ({
    name: route.name,
    domains: ["*"],
    routes: [route],
    ...(facts.includesAttemptCount ? { include_request_attempt_count: true } : {}),
  }));
}

function planRoute(view: ScopeView, facts: RouteFacts): Route {
  const match = { prefix: "/" };
  if (view.outboundTrafficPolicy === "REGISTRY_ONLY") {
    return { name: blockAllVirtualHost, match, direct_response: { status: blockedStatus } };
  }
  const { policy, namespace } = findPolicy(view);
  const shared = {
    ...buildTimeouts(undefined),
    ...(facts.appendsForwardedHost ? { append_x_forwarded_host: true } : {}),
  };
  if (view.outboundTrafficPolicy === "ALLOW_ANY_DYNAMIC_DNS") {
    return { name: dynamicDnsVirtualHost, match, route: { cluster: dynamicDnsCluster, ...shared } };
  }
  const proxy = policy?.egressProxy;
  if (proxy === undefined)
    return { name: allowAnyVirtualHost, match, route: { cluster: passthroughCluster, ...shared } };
  const host = resolveShortHost(proxy.host, namespace, view.snapshot.domain);
  const cluster = buildDestinationCluster({ ...proxy, host }, { port: 0, findDestination: () => undefined });
  return { name: allowAnyVirtualHost, match, route: { cluster, ...shared } };
}

/** The policy that applies, with the namespace that its short names mean. */
function findPolicy(view: ScopeView): {
  readonly policy: OutboundTrafficPolicy | undefined;
  readonly namespace: string;
} {
  const own = view.sidecar?.spec.outboundTrafficPolicy;
  if (own !== undefined) return { policy: own, namespace: view.sidecar?.meta.namespace ?? view.key.namespace };
  const { mesh } = view.snapshot;
  return { policy: mesh.outboundTrafficPolicy, namespace: mesh.rootNamespace };
}
