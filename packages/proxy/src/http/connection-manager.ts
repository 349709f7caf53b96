/**
 * Envoy's HTTP connection manager: a network filter that reads requests from connections, takes them through the HTTP
 * filters and writes the answers. See Envoy's documentation, "HTTP connection management".
 */
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { HttpFilterEnv, NetworkFilterEnv, RouteTableSlot } from "../config/env.ts";
import { Closers } from "../lib/closers.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { NetworkFilter, NetworkFilterFactory } from "../network/types.ts";
import { Deadlines } from "../router/deadlines.ts";
import type { RouteTable } from "../router/types.ts";
import { createTracer } from "../tracing/tracer.ts";
import { ClientConnections } from "./client-connections.ts";
import type { Manager } from "./connection-manager-parts.ts";
import { createConnectionStats } from "./connection-stats.ts";
import { compileFilterChain, type FilterChain } from "./filter-chain.ts";
import { DateHeader } from "./http-date.ts";
import { findHttp2CodecStats } from "./http2/codec-stats.ts";
import { compileLocalReplies } from "./local-replies.ts";
import { compileSettings, type Settings } from "./settings.ts";
import { compileUpgradeChains } from "./upgrade-chains.ts";

export const httpConnectionManagerFactory: NetworkFilterFactory<HttpConnectionManager> = {
  name: "envoy.filters.network.http_connection_manager",
  type: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  compile: compileConnectionManager,
};

/** Throws ConfigError, and leaves nothing behind. */
function compileConnectionManager(wire: HttpConnectionManager, env: NetworkFilterEnv): NetworkFilter {
  const settings = compileSettings(wire, env);
  const closers = new Closers();
  const chains: FilterChain[] = [];
  closers.push(() => {
    for (const chain of chains) chain.close();
  });
  try {
    return assemble(wire, settings, { env, closers, chains });
  } catch (cause: unknown) {
    void closers.close().catch(() => undefined);
    throw cause;
  }
}

interface Assembly {
  readonly env: NetworkFilterEnv;
  readonly closers: Closers;
  readonly chains: FilterChain[];
}

function assemble(wire: HttpConnectionManager, settings: Settings, { env, closers, chains }: Assembly): NetworkFilter {
  const { statPrefix } = settings;
  const filterEnv: HttpFilterEnv = { ...env, statPrefix, httpStats: env.stats.scope(`http.${statPrefix}`) };
  const chain = compileFilterChain(wire.http_filters, filterEnv);
  chains.push(chain);
  const upgrades = compileUpgradeChains(wire, filterEnv, chains);
  const routes = compileRoutes(wire, filterEnv);
  closers.push(() => routes.close());
  const { tracing, access_log: logs = [] } = wire;
  const tracer = tracing && within("tracing", () => createTracer(tracing, filterEnv));
  closers.push(() => tracer?.close());
  const accessLog = logs.length === 0 ? undefined : within("access_log", () => env.accessLogs.compile(logs));
  closers.push(() => accessLog?.close());
  const manager: Manager = {
    env: filterEnv,
    settings,
    deadlines: new Deadlines(env.clock),
    stats: createConnectionStats(filterEnv.httpStats, env.listenerStats.scope(`http.${statPrefix}`)),
    http2Stats: findHttp2CodecStats(env.stats),
    date: new DateHeader(env.clock),
    chain,
    upgrades,
    routes: () => routes.current(),
    renderReply: within("local_reply_config", () => compileLocalReplies(wire.local_reply_config, env)),
    tracer,
    isEgress: env.direction === "OUTBOUND",
    accessLog,
  };
  const waits = [routes.ready, ...chains.flatMap(({ ready }) => ready)];
  return new ClientConnections(manager, Promise.all(waits), closers);
}

interface Routes {
  current(): RouteTable | undefined;
  readonly ready: Promise<void>;
  close(): void;
}

function compileRoutes(wire: HttpConnectionManager, env: HttpFilterEnv): Routes {
  const { rds, route_config: config } = wire;
  if (rds !== undefined) {
    const name = within("rds", () => need("route_config_name", rds.route_config_name));
    const origin = { stats: env.httpStats, ...(rds.config_source === undefined ? {} : { source: rds.config_source }) };
    const slot: RouteTableSlot = env.routes.open(name, origin);
    return { current: () => slot.current, ready: slot.ready, close: () => slot.close() };
  }
  if (config === undefined) throw new ConfigError("", "one of rds, route_config is required");
  const table = within("route_config", () => env.compileRoutes(config));
  return { current: () => table, ready: Promise.resolve(), close: () => undefined };
}
