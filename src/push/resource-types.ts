import { typeUrl } from "@meltemi/protos";

/** Short names of the resource types, as metrics and logs of istiod use them. */
export type XdsType = "cds" | "eds" | "lds" | "rds" | "sds" | "ecds" | "nds";

/**
 * Types whose resources are kept for all proxies of a key. Secrets are not among them: those are a proxy's own
 * (secret-answers.ts), so that no key, which is made of claims, can lead to one.
 */
export type SharedType = Exclude<XdsType, "sds">;

export interface ResourceType {
  readonly type: XdsType;
  readonly typeName:
    | "envoy.config.cluster.v3.Cluster"
    | "envoy.config.endpoint.v3.ClusterLoadAssignment"
    | "envoy.config.listener.v3.Listener"
    | "envoy.config.route.v3.RouteConfiguration"
    | "envoy.extensions.transport_sockets.tls.v3.Secret"
    | "envoy.config.core.v3.TypedExtensionConfig"
    | "istio.networking.nds.v1.NameTable";
  readonly typeUrl: string;
  /**
   * True where a state-of-the-world response is always the whole set, so that a name left out is a removal, and where
   * a first request without names asks for everything (xds_protocol: listeners and clusters; name tables are Istio's own,
   * Istio: pkg/xds/server.go).
   */
  readonly isWholeSet: boolean;
}

/**
 * In the order of sending: clusters before their endpoints, both before the listeners and routes that name them
 * (xds_protocol, "eventual consistency considerations"; Istio: xds/ads.go PushOrder).
 */
export const resourceTypes = [
  defineType("cds", "envoy.config.cluster.v3.Cluster", true),
  defineType("eds", "envoy.config.endpoint.v3.ClusterLoadAssignment", false),
  defineType("lds", "envoy.config.listener.v3.Listener", true),
  defineType("rds", "envoy.config.route.v3.RouteConfiguration", false),
  defineType("sds", "envoy.extensions.transport_sockets.tls.v3.Secret", false),
  defineType("ecds", "envoy.config.core.v3.TypedExtensionConfig", false),
  defineType("nds", "istio.networking.nds.v1.NameTable", true),
] as const;

const byTypeUrl: ReadonlyMap<string, ResourceType> = new Map(resourceTypes.map((entry) => [entry.typeUrl, entry]));

/** The type of a URL; undefined where it is none that is served. */
export function findResourceType(url: string): ResourceType | undefined {
  return byTypeUrl.get(url);
}

/** The entry of a short name. */
export function resourceTypeOf(type: XdsType): ResourceType {
  const found = resourceTypes.find((entry) => entry.type === type);
  if (found === undefined) throw new Error(`no resource type ${type}`);
  return found;
}

function defineType(type: XdsType, typeName: ResourceType["typeName"], isWholeSet: boolean): ResourceType {
  return { type, typeName, typeUrl: typeUrl(typeName), isWholeSet };
}
