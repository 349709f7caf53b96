/** The kinds of resources that a control plane serves, in the order in which they are asked for. */
import type { TypeName } from "@meltemi/protos";

export type ResourceKind = "cds" | "eds" | "lds" | "rds" | "sds" | "ecds";

export interface ResourceType {
  readonly kind: ResourceKind;
  readonly typeName: TypeName;
  /** The message's name without its package, for what is said to people. */
  readonly shortName: string;
  /** Asked for as a whole: what a state of the world leaves out has vanished. Others are asked for by name. */
  readonly isWholeSet: boolean;
  /** Field that holds a resource's name. */
  readonly nameField: string;
  /** The kind's own gRPC service, as paths of methods. */
  readonly sotwMethod: string;
  readonly deltaMethod: string;
}

/** Methods of the aggregated service. */
export const adsMethods = {
  sotw: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  delta: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
} as const;

export const resourceTypes: Readonly<Record<ResourceKind, ResourceType>> = {
  cds: define("cds", "envoy.config.cluster.v3.Cluster", "cluster.v3.ClusterDiscoveryService", "Clusters"),
  eds: define(
    "eds",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "endpoint.v3.EndpointDiscoveryService",
    "Endpoints",
  ),
  lds: define("lds", "envoy.config.listener.v3.Listener", "listener.v3.ListenerDiscoveryService", "Listeners"),
  rds: define("rds", "envoy.config.route.v3.RouteConfiguration", "route.v3.RouteDiscoveryService", "Routes"),
  sds: define("sds", "envoy.extensions.transport_sockets.tls.v3.Secret", "secret.v3.SecretDiscoveryService", "Secrets"),
  ecds: define(
    "ecds",
    "envoy.config.core.v3.TypedExtensionConfig",
    "extension.v3.ExtensionConfigDiscoveryService",
    "ExtensionConfigs",
  ),
};

function define(kind: ResourceKind, typeName: TypeName, service: string, method: string): ResourceType {
  return {
    kind,
    typeName,
    shortName: typeName.slice(typeName.lastIndexOf(".") + 1),
    isWholeSet: kind === "cds" || kind === "lds",
    nameField: kind === "eds" ? "cluster_name" : "name",
    sotwMethod: `/envoy.service.${service}/Stream${method}`,
    deltaMethod: `/envoy.service.${service}/Delta${method}`,
  };
}
