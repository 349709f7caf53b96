/** A running proxy, as its users hold it. */
import type { AdminSource } from "../admin/types.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import type { ListenerManager } from "../listeners/types.ts";
import type { ClusterManager } from "../upstream/types.ts";

/** In Envoy's words (docs: api-docs/admin, "server_info"). */
export type ServerState = "LIVE" | "DRAINING" | "PRE_INITIALIZING" | "INITIALIZING";

/** How verbose the log is, by component, for /logging. */
export interface LogLevels {
  set(level: string, component?: string): boolean;
  list(): ReadonlyMap<string, string>;
}

export interface RunningProxy {
  /** Undefined where the bootstrap has no admin address. */
  readonly adminPort: number | undefined;
  readonly listeners: ListenerManager;
  readonly clusters: ClusterManager;
  readonly stats: StatsRegistry;
  readonly admin: AdminSource;
  state(): ServerState;
  /** Resolves when everything that the bootstrap and the first answers of the control plane name is in use, or at close. */
  readonly live: Promise<void>;
  /** Resolves when an administrator asked the process to end (/quitquitquit). */
  readonly quitRequested: Promise<void>;
  /** Clients are told to go elsewhere; listeners go on accepting. */
  drain(): void;
  /** Ends everything. The proxy leaves nothing behind. */
  close(): Promise<void>;
}
