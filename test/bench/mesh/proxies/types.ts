/** The kinds of resources that a sidecar subscribes to, in the order in which it asks for them. */
export const shortTypes = ["cds", "eds", "lds", "rds"] as const;
export type ShortType = (typeof shortTypes)[number];

export const typeUrls: Readonly<Record<ShortType, string>> = {
  cds: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  eds: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  lds: "type.googleapis.com/envoy.config.listener.v3.Listener",
  rds: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};

export type Variant = "sotw" | "delta";

/** A number for each kind. */
export type PerType = Readonly<Record<ShortType, number>>;

export function findShortType(typeUrl: string): ShortType | undefined {
  return shortTypes.find((type) => typeUrls[type] === typeUrl);
}
