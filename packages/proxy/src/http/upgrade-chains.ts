/** Which upgrades a connection manager takes, and with which filters: upgrade_configs, and what routes say about them. */

import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { HttpFilterEnv } from "../config/env.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import type { Exchange } from "./exchange.ts";
import { compileFilterChain, type FilterChain } from "./filter-chain.ts";

/** By lower-case name, such as "websocket" or "connect". */
export type UpgradeChains = ReadonlyMap<
  string,
  { readonly chain: FilterChain | undefined; readonly isEnabled: boolean }
>;

/** Throws ConfigError. `chains` gets each chain that was made, for its end. */
export function compileUpgradeChains(
  wire: HttpConnectionManager,
  env: HttpFilterEnv,
  chains: FilterChain[],
): UpgradeChains {
  const upgrades = new Map<string, { readonly chain: FilterChain | undefined; readonly isEnabled: boolean }>();
  for (const [index, config] of (wire.upgrade_configs ?? []).entries()) {
    within(`upgrade_configs[${index}]`, () => {
      const name = (config.upgrade_type ?? "").toLowerCase();
      if (name === "") throw new ConfigError("upgrade_type", "is required");
      if (upgrades.has(name)) throw new ConfigError("upgrade_type", `${name} is there twice`);
      const { filters = [] } = config;
      const chain = filters.length === 0 ? undefined : within("filters", () => compileFilterChain(filters, env));
      if (chain !== undefined) chains.push(chain);
      upgrades.set(name, { chain, isEnabled: wrappedBool(config.enabled, true) });
    });
  }
  return upgrades;
}

/** The filters for a request that wants an upgrade; undefined where it is refused. */
export function findUpgradeChain(
  { upgrades, chain }: { readonly upgrades: UpgradeChains; readonly chain: FilterChain },
  { request, route }: Exchange,
): FilterChain | undefined {
  const name = request.upgrade ?? "";
  // Without a route the router answers: 404 tells more than that the upgrade is forbidden.
  if (name === "connect" && route === undefined) return chain;
  const byRoute = route?.action.kind === "forward" ? route.action.plan.upgrades.get(name) : undefined;
  if (byRoute === false) return undefined;
  const configured = upgrades.get(name);
  if (byRoute === true) return configured?.chain ?? chain;
  return configured?.isEnabled === true ? (configured.chain ?? chain) : undefined;
}
