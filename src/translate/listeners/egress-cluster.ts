import { resolveShortHost } from "../../lib/hostname.ts";
import { blackHoleCluster, buildOutboundClusterName, passthroughCluster } from "../names.ts";
import type { ScopeView } from "../scope.ts";

/**
 * The cluster for traffic that no service takes: onward where hosts outside the registry are allowed, through the egress
 * proxy where one is named, otherwise nowhere (Istio: networking/core, buildOutboundCatchAllNetworkFiltersOnly).
 */
export function findEgressCluster(view: ScopeView): string {
  if (view.outboundTrafficPolicy === "REGISTRY_ONLY") return blackHoleCluster;
  const { sidecar, snapshot } = view;
  const policy = sidecar?.spec.outboundTrafficPolicy ?? snapshot.mesh.outboundTrafficPolicy;
  const { egressProxy } = policy;
  if (egressProxy === undefined) return passthroughCluster;
  const namespace = sidecar?.meta.namespace ?? snapshot.mesh.rootNamespace;
  const host = resolveShortHost(egressProxy.host, namespace, snapshot.domain);
  return buildOutboundClusterName(host, egressProxy.port?.number ?? 0, egressProxy.subset ?? "");
}
