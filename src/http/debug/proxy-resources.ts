/** The resources of one proxy as JSON, generated from the mesh as it is now: what an xDS request would give. */
import { type Json, type ToJsonOptions, toJson } from "@meltemi/protos";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Generators } from "../../translate/generators.ts";
import type { ScopeView, WorkloadView } from "../../translate/scope.ts";
import type { ConnectionView } from "../ports.ts";
import { typeUrls } from "./type-urls.ts";

/** Names as istiod's JSON has them; keys and tokens are hidden. */
const jsonOptions: ToJsonOptions = { preserveNames: false, redactSecrets: true };

/** A resource in an Any: its fields beside "@type". */
export type ResourceJson = { readonly [field: string]: Json };

export interface ProxyResources {
  readonly clusters: () => readonly ResourceJson[];
  readonly endpoints: () => readonly ResourceJson[];
  readonly listeners: () => readonly ResourceJson[];
  readonly routes: () => readonly ResourceJson[];
  readonly nameTables: () => readonly ResourceJson[];
}

/** Views of the mesh of one proxy. */
export interface ProxyViews {
  readonly scope: ScopeView;
  readonly workload: WorkloadView;
}

export function deriveProxyViews(generators: Generators, snapshot: Snapshot, proxy: MeshProxy): ProxyViews {
  const keys = generators.deriveKeys(snapshot, proxy);
  const scope = generators.createScopeView(snapshot, keys.scope);
  return { scope, workload: generators.createWorkloadView(scope, keys.workload) };
}

/** Resources by type; each list is made when it is asked for. */
export function listProxyResources(
  generators: Generators,
  snapshot: Snapshot,
  connection: ConnectionView,
): ProxyResources {
  const { scope, workload } = deriveProxyViews(generators, snapshot, connection.proxy);
  const watched = (typeUrl: string, all: readonly string[]): readonly string[] => {
    const names = connection.watches.get(typeUrl)?.names ?? [];
    return names.length === 0 ? all : names;
  };
  return {
    clusters: () =>
      [...generators.outboundClusters(scope), ...generators.inboundClusters(workload)].map(({ message }) =>
        asAny(typeUrls.cluster, toJson("envoy.config.cluster.v3.Cluster", message, jsonOptions)),
      ),
    endpoints: () =>
      watched(typeUrls.endpoint, generators.loadAssignmentNames(scope)).flatMap((name) => {
        const built = generators.loadAssignment(scope, name);
        if (built === undefined) return [];
        const type = "envoy.config.endpoint.v3.ClusterLoadAssignment";
        return [asAny(typeUrls.endpoint, toJson(type, built.message, jsonOptions))];
      }),
    listeners: () =>
      [...generators.outboundListeners(scope, workload.key.listener), ...generators.inboundListeners(workload)].map(
        ({ message }) => asAny(typeUrls.listener, toJson("envoy.config.listener.v3.Listener", message, jsonOptions)),
      ),
    routes: () =>
      watched(typeUrls.route, generators.routeNames(scope)).map((name) => {
        const { message } = generators.routeConfiguration(scope, name);
        return asAny(typeUrls.route, toJson("envoy.config.route.v3.RouteConfiguration", message, jsonOptions));
      }),
    nameTables: () =>
      generators.nameTable(scope).map(({ message }) => {
        return asAny(typeUrls.nameTable, toJson("istio.networking.nds.v1.NameTable", message, jsonOptions));
      }),
  };
}

function asAny(typeUrl: string, message: Json): ResourceJson {
  // A message is always an object in JSON, except some of google.protobuf, which are no resources.
  return { "@type": typeUrl, ...(message as ResourceJson) };
}
