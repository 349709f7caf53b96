/** What the administration pages show: everything is handed in, nothing is looked up. */
import type { Bootstrap } from "@meltemi/protos/envoy/config/bootstrap/v3";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { Runtime } from "../config/runtime.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import type { ListenerManager } from "../listeners/types.ts";
import type { SecretProvider } from "../tls/types.ts";
import type { ClusterManager } from "../upstream/types.ts";

export interface AdminSource {
  readonly bootstrap: Bootstrap;
  readonly stats: StatsRegistry;
  readonly runtime: Runtime;
  readonly listeners: ListenerManager;
  readonly clusters: ClusterManager;
  readonly secrets: SecretProvider;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly commandLine: Readonly<Record<string, unknown>>;
  /** Resources of the xDS side, for /config_dump; also those that were refused, with the reason. */
  dump(): ConfigDumpSource;
  /** "LIVE", "DRAINING", "PRE_INITIALIZING" or "INITIALIZING". /ready is 200 when LIVE. */
  state(): "LIVE" | "DRAINING" | "PRE_INITIALIZING" | "INITIALIZING";
  setLogLevel(level: string, component?: string): boolean;
  logLevels(): ReadonlyMap<string, string>;
  reopenLogs(): void;
  failHealthChecks(isFailing: boolean): void;
  quit(): void;
}

export interface DumpedResource<Resource> {
  readonly name: string;
  readonly resource: Resource;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly updatedAt: number;
  readonly isStatic: boolean;
  readonly isWarming: boolean;
  readonly error?: { readonly at: number; readonly details: string; readonly version: string };
}

export interface ConfigDumpSource {
  readonly clusters: readonly DumpedResource<Cluster>[];
  readonly routes: readonly DumpedResource<RouteConfiguration>[];
  /** Last error of a listener that was refused, by name; listeners themselves come from the ListenerManager. */
  readonly listenerErrors: ReadonlyMap<
    string,
    { readonly at: number; readonly details: string; readonly version: string }
  >;
  readonly endpoints: readonly DumpedResource<unknown>[];
  readonly extensions: readonly DumpedResource<unknown>[];
}
