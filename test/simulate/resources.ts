import { decode, encode } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { type ResourcesOfProxy, typeNames } from "../support/translated-mesh.ts";

/** What a proxy holds, as it reads it from the wire. */
export interface ProxyResources {
  readonly listeners: readonly Listener[];
  readonly routes: ReadonlyMap<string, RouteConfiguration>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly endpoints: ReadonlyMap<string, ClusterLoadAssignment>;
}

/** Encodes and decodes everything, so that the simulator sees what Envoy sees. Throws on what cannot be encoded. */
export function decodeResources(built: ResourcesOfProxy): ProxyResources {
  const listeners = built.listeners.map(({ message }) =>
    decode(typeNames.listeners, encode(typeNames.listeners, message)),
  );
  const routes = built.routes.map(({ message }) => decode(typeNames.routes, encode(typeNames.routes, message)));
  const clusters = built.clusters.map(({ message }) => decode(typeNames.clusters, encode(typeNames.clusters, message)));
  const endpoints = built.endpoints.map(({ message }) =>
    decode(typeNames.endpoints, encode(typeNames.endpoints, message)),
  );
  return createProxyResources({ listeners, routes, clusters, endpoints });
}

/** The same from messages, for tables that write resources by hand. */
export function createProxyResources(messages: {
  readonly listeners?: readonly Listener[];
  readonly routes?: readonly RouteConfiguration[];
  readonly clusters?: readonly Cluster[];
  readonly endpoints?: readonly ClusterLoadAssignment[];
}): ProxyResources {
  return {
    listeners: messages.listeners ?? [],
    routes: new Map((messages.routes ?? []).map((routes) => [routes.name ?? "", routes])),
    clusters: new Map((messages.clusters ?? []).map((cluster) => [cluster.name ?? "", cluster])),
    endpoints: new Map((messages.endpoints ?? []).map((endpoints) => [endpoints.cluster_name ?? "", endpoints])),
  };
}
