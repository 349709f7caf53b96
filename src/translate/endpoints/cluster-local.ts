/** Services that must not leave the cluster (Istio: model/cluster_local.go, row C157). */
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { compareHostSpecificity, hostIsWithin } from "../../lib/hostname.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

/**
 * True where only endpoints of the caller's own cluster may be used: what the mesh says of the most specific host, and by
 * default the platform's own services and the control plane.
 */
export function isClusterLocal({ mesh, domain }: Snapshot, hostname: string): boolean {
  return listHosts(mesh, domain).find(({ host }) => hostIsWithin(hostname, host))?.isLocal ?? false;
}

interface LocalHost {
  readonly host: string;
  readonly isLocal: boolean;
}

/** Hosts of which something is said, the most specific first. */
const listHosts = memoByIdentity((mesh: MeshConfig, domain: string): readonly LocalHost[] => {
  const stated = (mesh.serviceSettings ?? []).flatMap(({ hosts = [], settings }) =>
    hosts.map((host): LocalHost => ({ host, isLocal: settings?.clusterLocal === true })),
  );
  const defaults = listDefaults(mesh, domain).filter(
    (host) => !stated.some((other) => !other.isLocal && hostIsWithin(other.host, host)),
  );
  // Of two settings for a host the later one holds, and a default that was not taken back holds against both.
  const all = [...stated, ...defaults.map((host): LocalHost => ({ host, isLocal: true }))];
  const byHost = new Map(all.map((entry) => [entry.host, entry]));
  return [...byHost.values()].sort((a, b) => compareHostSpecificity(a.host, b.host));
});

function listDefaults({ defaultConfig }: MeshConfig, domain: string): readonly string[] {
  // "istiod.istio-system.svc:15012"
  const host = (defaultConfig.discoveryAddress ?? "").replace(/:\d+$/, "");
  const discovery = host === "" || host.endsWith(domain) ? host : `${host}.${domain}`;
  return [`*.kube-system.svc.${domain}`, `kubernetes.default.svc.${domain}`, ...(discovery === "" ? [] : [discovery])];
}
