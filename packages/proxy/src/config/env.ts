/** What configuration is compiled with. Everything that touches the world comes from here. */
import type { ConfigSource, Node } from "@meltemi/protos/envoy/config/core/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { AccessLogFactory } from "../access-log/types.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Stats } from "../lib/stats.ts";
import type { ConnectionBudget } from "../listeners/connection-budget.ts";
import type { ConnectionRush } from "../listeners/connection-rush.ts";
import type { RouteTable } from "../router/types.ts";
import type { HandshakeLine } from "../tls/handshake-line.ts";
import type { SecretProvider } from "../tls/types.ts";
import type { ClusterManager } from "../upstream/types.ts";
import type { Runtime } from "./runtime.ts";

export interface ProxyEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: Stats;
  /** At least 0 and less than 1. */
  readonly random: () => number;
  /** Reads a variable of the process's environment; what asks for one is refused without. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
  readonly node: Node;
  readonly runtime: Runtime;
  readonly clusters: ClusterManager;
  readonly secrets: SecretProvider;
  readonly accessLogs: AccessLogFactory;
  /** Route tables by name (RDS). */
  readonly routes: RouteTables;
  /** Compiles a route table, with the filters' own configuration in it. Throws ConfigError. */
  readonly compileRoutes: (config: RouteConfiguration) => RouteTable;
  /** Filters whose configuration comes by ECDS. */
  readonly extensions: ExtensionConfigs;
  /** Clients of TLS, over all listeners. */
  readonly handshakes: HandshakeLine;
  /** Over all listeners; without one there is no limit. */
  readonly connectionBudget?: ConnectionBudget | undefined;
  /** Hears of every connection of a client; not given where nobody wants to know of many. */
  readonly connectionRush?: ConnectionRush | undefined;
  /** True while an administrator has this proxy fail its health checks (/healthcheck/fail). */
  readonly isFailingHealthChecks?: (() => boolean) | undefined;
}

export interface RouteTables {
  /** A table that changes while it is used; opened once for each user, and subscribed to as long as one is open. */
  open(name: string, from?: ResourceOrigin): RouteTableSlot;
}

/** Where a resource that is asked for by name comes from; over ADS where not given. */
export interface ResourceOrigin {
  readonly source?: ConfigSource | undefined;
  /** "http.PREFIX." of the connection manager that asks, for the statistics below "rds.NAME.". */
  readonly stats?: Stats | undefined;
}

export interface RouteTableSlot {
  readonly current: RouteTable | undefined;
  /** Resolves when a first table is there, or when the server said that there is none. */
  readonly ready: Promise<void>;
  close(): void;
}

export interface ExtensionConfigs {
  /** Calls `onUpdate` for what is there and for each change; what that throws as ConfigError is refused, and the last one kept. */
  open(
    name: string,
    onUpdate: (typeName: string, message: Readonly<Record<string, unknown>>) => void,
    from?: ResourceOrigin,
  ): { readonly ready: Promise<void>; close(): void };
}

export interface ListenerEnv extends ProxyEnv {
  readonly listenerName: string;
  /** "listener.ADDRESS_PORT." */
  readonly listenerStats: Stats;
  readonly direction: "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
}

export type NetworkFilterEnv = ListenerEnv;

export interface HttpFilterEnv extends ListenerEnv {
  /** stat_prefix of the connection manager: "http.PREFIX." is `httpStats`. */
  readonly statPrefix: string;
  readonly httpStats: Stats;
}
