/** Pages about services and endpoints. */
import type { Endpoint } from "../../model/endpoint.ts";
import type { ServiceTarget } from "../../model/workload.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { type DebugHandler, replyJson } from "./reply.ts";
import { formatEndpoint, formatIdentity, formatPort, formatService } from "./service-json.ts";

/** All services: a JSON array of istiod's Service records. */
export const handleRegistry: DebugHandler = (request) => {
  const snapshot = request.port.snapshot();
  const services = snapshot?.services.all ?? [];
  return replyJson(
    request,
    services.map((service) => formatService(service, snapshot?.clusterId ?? "")),
  );
};

interface Shards {
  readonly Shards: { readonly [shard: string]: readonly object[] };
  readonly ServiceAccounts: { readonly [account: string]: object };
}

/** All endpoints: {host: {namespace: {Shards: {"Kubernetes/cluster": [endpoint]}, ServiceAccounts}}}. */
export const handleEndpoints: DebugHandler = (request) => {
  const snapshot = request.port.snapshot();
  const byHost: Record<string, Record<string, Shards>> = {};
  for (const [hostname, namespace, endpoints] of snapshot?.endpoints.entries() ?? []) {
    const host = byHost[hostname] ?? {};
    byHost[hostname] = host;
    const registry = snapshot?.services.find(hostname, namespace)?.registry ?? "Kubernetes";
    host[namespace] = formatShards(endpoints, registry, snapshot?.mesh.trustDomain ?? "");
  }
  return replyJson(request, byHost);
};

function formatShards(endpoints: readonly Endpoint[], registry: string, trustDomain: string): Shards {
  const byShard = Object.groupBy(endpoints, ({ clusterId }) => `${registry}/${clusterId}`);
  const shards = Object.entries(byShard).map(([shard, members = []]) => [
    shard,
    members.map((endpoint) => formatEndpoint(endpoint, trustDomain)),
  ]);
  const identities = new Set(endpoints.map((endpoint) => formatIdentity(endpoint, trustDomain)));
  identities.delete("");
  return {
    Shards: Object.fromEntries(shards),
    ServiceAccounts: Object.fromEntries([...identities].sort().map((identity) => [identity, {}])),
  };
}

/** Ports of services that each connected proxy serves itself: {proxy: [{Service, Port}]}. */
export const handleInstances: DebugHandler = (request) => {
  const snapshot = request.port.snapshot();
  const byProxy: Record<string, readonly object[]> = {};
  for (const { proxy } of request.port.listConnections()) {
    if (snapshot === undefined) break;
    const { scope, workload } = request.port.generators.deriveKeys(snapshot, proxy);
    const targets = proxy.type === "router" ? scope.targets : workload.targets;
    byProxy[proxy.id] = targets.flatMap((target) => formatTarget(snapshot, target));
  }
  return replyJson(request, byProxy);
};

function formatTarget(snapshot: Snapshot, target: ServiceTarget): readonly object[] {
  const service = snapshot.services.find(target.hostname, target.namespace);
  const port = service?.ports.find(({ number }) => number === target.port);
  if (service === undefined || port === undefined) return [];
  return [
    {
      Service: formatService(service, snapshot.clusterId),
      Port: { ServicePort: formatPort(port), TargetPort: target.targetPort },
    },
  ];
}
