import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { ConfigError } from "../lib/config-error.ts";

/** Throws ConfigError where a route or mirror names a cluster that is not there. */
export function validateClusters(table: RouteConfiguration, isKnown: (cluster: string) => boolean): void {
  for (const [hostIndex, host] of (table.virtual_hosts ?? []).entries()) {
    for (const [index, { route }] of (host.routes ?? []).entries()) {
      const names = [
        route?.cluster,
        ...(route?.weighted_clusters?.clusters ?? []).map(({ name }) => name),
        ...(route?.request_mirror_policies ?? []).map(({ cluster }) => cluster),
      ];
      for (const name of names) {
        if (name === undefined || name === "" || isKnown(name)) continue;
        throw new ConfigError(`virtual_hosts[${hostIndex}].routes[${index}].route`, `unknown cluster "${name}"`);
      }
    }
  }
}
