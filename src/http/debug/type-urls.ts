/** Type URLs of xDS resources by the words that the pages use. */
const prefix = "type.googleapis.com/";

export const typeUrls = {
  cluster: `${prefix}envoy.config.cluster.v3.Cluster`,
  endpoint: `${prefix}envoy.config.endpoint.v3.ClusterLoadAssignment`,
  listener: `${prefix}envoy.config.listener.v3.Listener`,
  route: `${prefix}envoy.config.route.v3.RouteConfiguration`,
  extensionConfig: `${prefix}envoy.config.core.v3.TypedExtensionConfig`,
  nameTable: `${prefix}istio.networking.nds.v1.NameTable`,
} as const;
