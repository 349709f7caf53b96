/** Patches of the routes of inbound chains, which stand in the chains themselves. */
import { packAny, unpackAs } from "@meltemi/protos";
import type { Filter, FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { sourcesOf, withSources } from "../built.ts";
import { connectionManagerName, connectionManagerType } from "./http-filter.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { patchRouteConfiguration } from "./route-configuration.ts";

/** They are patched before anything else of the listener is. */
export function patchInboundRoutes(listener: Listener, table: PatchTable, ledger: PatchLedger): Listener {
  const patches = [...table.of("ROUTE_CONFIGURATION"), ...table.of("VIRTUAL_HOST"), ...table.of("HTTP_ROUTE")];
  if (patches.length === 0) return listener;
  const before = listener.filter_chains ?? [];
  const chains = before.map((chain) => patchChain(chain, table, ledger));
  return chains.every((chain, index) => chain === before[index]) ? listener : { ...listener, filter_chains: chains };
}

function patchChain(chain: FilterChain, table: PatchTable, ledger: PatchLedger): FilterChain {
  const before = chain.filters ?? [];
  const filters = before.map((filter) => patchFilter(filter, table, ledger));
  if (filters.every((filter, index) => filter === before[index])) return chain;
  return withSources({ ...chain, filters }, sourcesOf(chain));
}

function patchFilter(filter: Filter, table: PatchTable, ledger: PatchLedger): Filter {
  if (filter.name !== connectionManagerName || filter.typed_config === undefined) return filter;
  const manager = unpackAs(connectionManagerType, filter.typed_config);
  if (manager?.route_config === undefined) return filter;
  const place = { context: table.context, serverPorts: undefined };
  const routes = patchRouteConfiguration(manager.route_config, { table, place }, ledger);
  if (routes === manager.route_config) return filter;
  return { ...filter, typed_config: packAny(connectionManagerType, { ...manager, route_config: routes }) };
}
