/** Route tables by name (RDS), compiled once for all connection managers that use them. */
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { DumpedResource } from "../admin/types.ts";
import type { RouteTables } from "../config/env.ts";
import type { Clock } from "../lib/clock.ts";
import type { Stats } from "../lib/stats.ts";
import type { RouteTable } from "../router/types.ts";
import type { ConfigSources } from "./config-sources.ts";
import { dumpEntries } from "./dump-entries.ts";
import { NamedResources } from "./named-resources.ts";
import { resourceTypes } from "./resource-types.ts";
import { createSubscriptionStats } from "./subscription-stats.ts";

export interface RouteTablesOptions {
  readonly sources: Pick<ConfigSources, "subscribe">;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly hash: (text: string) => number;
  /** Throws ConfigError. */
  readonly compile: (config: RouteConfiguration) => RouteTable;
}

export interface DynamicRouteTables extends RouteTables {
  dump(): readonly DumpedResource<RouteConfiguration>[];
  close(): void;
}

export function createRouteTables({ sources, clock, stats, hash, compile }: RouteTablesOptions): DynamicRouteTables {
  const tables = new NamedResources<RouteTable>({
    type: resourceTypes.rds,
    compile: (message) => compile(message as RouteConfiguration),
    ...{ sources, clock },
  });
  return {
    open(name, from) {
      const scope = (from?.stats ?? stats).scope(`rds.${name}`);
      const reloads = scope.counter("config_reload");
      const counts = createSubscriptionStats(scope, { hash, now: () => clock.now() });
      return tables.open(name, { source: from?.source, stats: { ...counts, changed: () => reloads.inc() } });
    },
    dump: () => dumpEntries(tables.list(), (table) => table.wire),
    close: () => tables.close(),
  };
}
