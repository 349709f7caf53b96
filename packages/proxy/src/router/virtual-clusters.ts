/** Groups of requests of a virtual host that are counted apart. */
import type { VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, compileAll } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";

export interface VirtualCluster {
  /** "" where it stands for requests that match none. */
  readonly name: string;
  /** "vhost.HOST.vcluster.NAME." */
  readonly stats: Stats;
}

/** Finds the virtual cluster of a request; undefined where the virtual host has none. Throws ConfigError. */
export function compileVirtualClusters(
  host: VirtualHost,
  stats: Stats,
): ((request: HttpRequest) => VirtualCluster | undefined) | undefined {
  const scope = stats.scope(`vhost.${host.name ?? ""}.vcluster`);
  const clusters = compileAll("virtual_clusters", host.virtual_clusters, ({ name = "", headers }) => {
    if (name === "") throw new ConfigError("name", "must not be empty");
    const tests = compileAll("headers", headers, compileHeaderMatcher);
    if (tests.length === 0) throw new ConfigError("headers", "must not be empty");
    return { name, stats: scope.scope(name), tests };
  });
  if (clusters.length === 0) return undefined;
  // Envoy counts what matches none under this name, and logs none for it.
  const other = { name: "", stats: scope.scope("other") };
  return (request) => clusters.find(({ tests }) => tests.every((test) => test(request))) ?? other;
}
