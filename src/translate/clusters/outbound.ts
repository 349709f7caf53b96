/** All clusters that the proxies of a scope share: for CDS, together with the workload's own (inbound.ts). */

import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Built } from "../built.ts";
import type { ScopeView } from "../scope.ts";
import { buildServiceClusters, type ClusterForm } from "./service-clusters.ts";
import { buildBlackHole, buildPassthrough, buildSecretServer } from "./static-clusters.ts";
import { buildUnknownHosts } from "./unknown-hosts.ts";

/**
 * Clusters of a scope in Istio's order: services, then those that are always there, then what gateways forward by server
 * name. Of clusters with the same name the first is kept (two services of one host and port).
 */
export function outboundClusters(view: ScopeView): readonly Built<Cluster>[] {
  const { snapshot, key } = view;
  const fixed =
    key.proxyType === "router"
      ? [buildBlackHole(snapshot.mesh)]
      : [buildBlackHole(snapshot.mesh), buildPassthrough(snapshot.mesh, key), ...buildUnknownHosts(view)];
  return dropDuplicates([
    ...listServiceClusters(view, "outbound"),
    ...fixed,
    ...(forwardsByServerName(view) ? listServiceClusters(view, "sniDnat") : []),
    ...(key.hasSecretSocket === true ? [buildSecretServer(snapshot.mesh)] : []),
  ]);
}

/** True for gateways with a server that forwards mutual TLS of the mesh to the service that the server name says. */
function forwardsByServerName({ key, gateways }: ScopeView): boolean {
  return (
    key.proxyType === "router" &&
    gateways.some(({ spec }) => spec.servers?.some(({ tls }) => tls?.mode === "AUTO_PASSTHROUGH") ?? false)
  );
}

/** Keeps the first of equal names. */
export function dropDuplicates(clusters: readonly Built<Cluster>[]): readonly Built<Cluster>[] {
  const names = new Set<string>();
  return clusters.filter(({ name }) => {
    const isNew = !names.has(name);
    names.add(name);
    return isNew;
  });
}

function listServiceClusters(view: ScopeView, form: ClusterForm): readonly Built<Cluster>[] {
  const { snapshot, key } = view;
  return view.services
    .filter(({ meshExternal }) => form === "outbound" || !meshExternal)
    .flatMap((service) => {
      const rule = view.findDestinationRule(service);
      return buildServiceClusters({ snapshot, key, service, rule, form });
    });
}
