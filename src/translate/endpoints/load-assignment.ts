/** Load assignments by cluster name: EDS (Istio: xds/eds.go and xds/endpoints, rows C95-C106, X43). */
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { ObjectRef } from "../../lib/message.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { type Service, serviceKey } from "../../model/service.ts";
import type { Built } from "../built.ts";
import { selectPolicyDiscovery } from "../clusters/discovery.ts";
import { outboundClusters } from "../clusters/outbound.ts";
import { type EffectivePolicy, mergeRulePolicy } from "../clusters/traffic-policy.ts";
import { type ClusterName, parseClusterName } from "../names.ts";
import type { ScopeKey, ScopeView } from "../scope.ts";
import { buildEndpoints, buildKinEndpoints } from "./service-endpoints.ts";

/** In the bootstrap of proxies that ask for it: how many of their kind there are, and where. */
const selfDiscoveryCluster = "local_cluster";

const memo = createSlotMemo<Built<ClusterLoadAssignment>>();

/**
 * Endpoints of a cluster: empty for a service or port that is not there (a cluster that waits must go on), undefined for
 * names of clusters that take none from EDS: inbound ones, names that the proxy looks up, original destinations.
 */
export function loadAssignment(view: ScopeView, clusterName: string): Built<ClusterLoadAssignment> | undefined {
  const { proxyType } = view.key;
  if (clusterName === selfDiscoveryCluster) return buildKinAssignment(view);
  return buildLoadAssignment(view, clusterName, (service, policy) => {
    return selectPolicyDiscovery(service, proxyType, policy) === "EDS";
  });
}

/** As loadAssignment, where `takesEds` says which services' endpoints are sent on their own. */
export function buildLoadAssignment(
  view: ScopeView,
  clusterName: string,
  takesEds: (service: Service, policy: EffectivePolicy | undefined) => boolean,
): Built<ClusterLoadAssignment> | undefined {
  const parsed = parseClusterName(clusterName);
  if (parsed === undefined || parsed.direction !== "outbound") return undefined;
  const service = view.findService(parsed.hostname);
  if (service === undefined) return buildEmpty(clusterName, []);
  const rule = view.findDestinationRule(service);
  const sources = [service.object, ...(rule?.sources ?? [])];
  const port = service.ports.find(({ number, protocol }) => number === parsed.port && protocol !== "UDP");
  if (port === undefined) return buildEmpty(clusterName, sources);
  if (!takesEds(service, mergeRulePolicy(rule?.spec, parsed.port, parsed.subset))) return undefined;
  const { snapshot, key } = view;
  const endpoints = snapshot.endpoints.list(service.hostname, service.namespace);
  const inputs = [endpoints, rule?.spec, snapshot.mesh, snapshot.peerAuthentications, snapshot.networkGateways];
  return memo({ owner: service, slot: formatSlot(clusterName, key) }, inputs, () => {
    const { subset, dnsSrv: onlyMtls } = parsed;
    const query = { service, port, subset, rule, place: "assignment", onlyMtls } as const;
    const groups = buildEndpoints(snapshot, key, query);
    const message = { cluster_name: clusterName, ...(groups.length === 0 ? {} : { endpoints: groups }) };
    return { name: clusterName, message, sources };
  });
}

/** The proxy's own service as `local_cluster`; empty where it serves none. */
function buildKinAssignment(view: ScopeView): Built<ClusterLoadAssignment> {
  const { snapshot, key } = view;
  const self = key.selfDiscovery;
  const service = self && view.findService(self.hostname);
  const port = service?.ports.find(({ number }) => number === self?.port);
  if (self === undefined || service === undefined || port === undefined) return buildEmpty(selfDiscoveryCluster, []);
  const endpoints = snapshot.endpoints.list(service.hostname, service.namespace);
  const inputs = [endpoints, snapshot.mesh, snapshot.peerAuthentications, snapshot.networkGateways];
  const slot = `${formatSlot(selfDiscoveryCluster, key)} ${JSON.stringify(self)}`;
  return memo({ owner: service, slot }, inputs, () => {
    const groups = buildKinEndpoints(snapshot, key, { service, port, self });
    const message = { cluster_name: selfDiscoveryCluster, ...(groups.length === 0 ? {} : { endpoints: groups }) };
    return { name: selfDiscoveryCluster, message, sources: [service.object] };
  });
}

/** Names of all clusters that take their endpoints from EDS: those of the scope in their order, then the bootstrap's. */
export function loadAssignmentNames(view: ScopeView): readonly string[] {
  const names = outboundClusters(view)
    .filter(({ message }) => message.type === "EDS")
    .map(({ name }) => name);
  return view.key.selfDiscovery === undefined ? names : [...names, selfDiscoveryCluster];
}

/** The service (key as serviceKey) whose endpoints a load assignment is made of; undefined for unknown names. */
export function serviceOfLoadAssignment(view: ScopeView, clusterName: string): string | undefined {
  const own = view.key.selfDiscovery;
  const service =
    clusterName === selfDiscoveryCluster
      ? own && view.findService(own.hostname)
      : findService(view, parseClusterName(clusterName));
  return service === undefined ? undefined : serviceKey(service);
}

function findService(view: ScopeView, name: ClusterName | undefined): Service | undefined {
  return name?.direction === "outbound" ? view.findService(name.hostname) : undefined;
}

/** All that endpoints read of the key. */
function formatSlot(clusterName: string, key: ScopeKey): string {
  const { proxyType, locality, network, networkView, ipFamilies, clusterId, nodeName, labels } = key;
  const read = [proxyType, locality, network, networkView, ipFamilies, clusterId, nodeName, labels];
  return `${clusterName} ${JSON.stringify(read)}`;
}

function buildEmpty(clusterName: string, sources: readonly ObjectRef[]): Built<ClusterLoadAssignment> {
  return { name: clusterName, message: { cluster_name: clusterName }, sources };
}
