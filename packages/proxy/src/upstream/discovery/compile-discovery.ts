/** The type of a cluster, by its field or by the name of an extension. */

import { typeNameOf } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { ConfigError, need, within } from "../../lib/config-error.ts";
import type { DnsCaches } from "../dns/dns-cache.ts";
import { type AggregateParts, compileAggregate } from "./aggregate-discovery.ts";
import type { Discovery, DiscoveryParts } from "./discovery.ts";
import { compileLogicalDns, compileStrictDns } from "./dns-discovery.ts";
import { compileDynamicForwardProxy } from "./dynamic-forward-proxy.ts";
import { compileEds } from "./eds-discovery.ts";
import { compileOriginalDst } from "./original-dst-discovery.ts";
import { compileStatic } from "./static-discovery.ts";

export interface DiscoveryEnv extends AggregateParts {
  readonly caches: DnsCaches;
}

/** Types that are configured by the cluster's own fields. */
const plainTypes = {
  STATIC: compileStatic,
  STRICT_DNS: compileStrictDns,
  LOGICAL_DNS: compileLogicalDns,
  EDS: compileEds,
  ORIGINAL_DST: compileOriginalDst,
};

const namedTypes: ReadonlyMap<string, keyof typeof plainTypes> = new Map([
  ["envoy.cluster.static", "STATIC"],
  ["envoy.cluster.strict_dns", "STRICT_DNS"],
  ["envoy.cluster.logical_dns", "LOGICAL_DNS"],
  ["envoy.cluster.eds", "EDS"],
  ["envoy.cluster.original_dst", "ORIGINAL_DST"],
  ["envoy.clusters.static", "STATIC"],
  ["envoy.clusters.strict_dns", "STRICT_DNS"],
  ["envoy.clusters.logical_dns", "LOGICAL_DNS"],
  ["envoy.clusters.eds", "EDS"],
  ["envoy.clusters.original_dst", "ORIGINAL_DST"],
]);

/** Throws ConfigError. What it gives starts the work. */
export function compileDiscovery(cluster: Cluster, env: DiscoveryEnv): (parts: DiscoveryParts) => Discovery {
  const custom = cluster.cluster_type;
  if (custom === undefined) return plainTypes[cluster.type ?? "STATIC"](cluster);
  return within("cluster_type", () => {
    const { name = "", typed_config: any } = custom;
    const plain = namedTypes.get(name);
    if (plain !== undefined) return plainTypes[plain](cluster);
    const config = need("typed_config", any);
    switch (typeNameOf(config.type_url ?? "")) {
      case "envoy.extensions.clusters.aggregate.v3.ClusterConfig":
        return within("typed_config", () => compileAggregate(cluster, config, env));
      case "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig":
        return within("typed_config", () => compileDynamicForwardProxy(cluster, config, env.caches));
      default:
        throw new ConfigError(
          "",
          `clusters of the type ${name} (${typeNameOf(config.type_url ?? "")}) are not supported`,
        );
    }
  });
}
