import { createHash } from "node:crypto";
import { encode } from "@meltemi/protos";
import type { FilterChain as WireChain, Listener as WireListener } from "@meltemi/protos/envoy/config/listener/v3";
import type { ListenerEnv, ProxyEnv } from "../config/env.ts";
import { compileAll, within } from "../lib/config-error.ts";
import type { Address } from "./connection.ts";
import { FilterChain, keyOfFilterChain } from "./filter-chain.ts";
import { compileFilterChainMatch } from "./filter-chain-match.ts";
import { compileProxyProtocol } from "./inspectors/proxy-protocol.ts";
import { compileListenerFilter } from "./inspectors/registry.ts";
import { Listener, type ListenerParts } from "./listener.ts";
import { compileListenerPlan, type ListenerPlan } from "./listener-plan.ts";
import { createListenerStats } from "./listener-stats.ts";

export interface ListenerInput {
  readonly wire: WireListener;
  readonly origin: { readonly isStatic: boolean; readonly version: string };
  readonly env: ProxyEnv;
  /** The generation before, whose chains are taken over where nothing but chains has changed. */
  readonly previous: Listener | undefined;
  readonly nextConnectionId: () => number;
  readonly findByAddress: (address: Address) => Listener | undefined;
}

/** Compiles a listener, with nothing begun yet but what its filters wait for. Throws ConfigError, and leaves nothing behind. */
export function compileListener(input: ListenerInput): Listener {
  const { wire, env } = input;
  const plan = compileListenerPlan(wire);
  const listenerEnv = createListenerEnv(plan, env);
  const filters = compileAll("listener_filters", wire.listener_filters, (each) => compileListenerFilter(each, env));
  // The older way to ask for the PROXY protocol, on the first chain.
  const isProxied = wire.filter_chains?.[0]?.use_proxy_proto?.value === true;
  const accessLog = within("access_log", () => env.accessLogs.compile(wire.access_log));
  const made: FilterChain[] = [];
  try {
    const reusable = chainsToKeep(input);
    const compile = (each: WireChain): FilterChain => {
      const kept = reusable.get(keyOfFilterChain(each));
      if (kept !== undefined) return kept;
      const chain = new FilterChain(each, listenerEnv);
      made.push(chain);
      return chain;
    };
    const chains = compileAll("filter_chains", wire.filter_chains, compile);
    const { default_filter_chain: fallbackWire } = wire;
    const fallback = fallbackWire && within("default_filter_chain", () => compile(fallbackWire));
    const match = compileFilterChainMatch(chains.map((chain) => ({ match: chain.wire.filter_chain_match, chain })));
    // Without the generation before: each would keep all that were before it.
    const { origin, nextConnectionId, findByAddress } = input;
    return new Listener({
      ...{ wire, origin, nextConnectionId, findByAddress },
      plan,
      env: listenerEnv,
      stats: createListenerStats(listenerEnv.listenerStats),
      filters: isProxied ? [compileProxyProtocol({}, env.stats), ...filters] : filters,
      chains: fallback === undefined ? chains : [...chains, fallback],
      findChain: orElse(match, fallback),
      accessLog,
    });
  } catch (cause: unknown) {
    for (const chain of made) chain.close();
    accessLog.close();
    throw cause;
  }
}

/** Outside of what compiles, whose variables would live as long as the listener: the chains before it are among them. */
function orElse(
  match: ReturnType<typeof compileFilterChainMatch<FilterChain>>,
  fallback: FilterChain | undefined,
): ListenerParts["findChain"] {
  return (accepted) => match(accepted) ?? fallback;
}

function createListenerEnv(plan: ListenerPlan, env: ProxyEnv): ListenerEnv {
  return {
    ...env,
    listenerName: plan.name,
    listenerStats: env.stats.scope(`listener.${plan.statName}`),
    direction: plan.direction,
  };
}

/** Chains of the generation before, where the two differ in chains alone: as in Envoy, the rest of them serves on. */
function chainsToKeep({ wire, previous }: ListenerInput): ReadonlyMap<string, FilterChain> {
  if (previous === undefined || frameOf(previous.parts.wire) !== frameOf(wire)) return new Map();
  return new Map(previous.parts.chains.filter((chain) => !chain.isDraining).map((chain) => [chain.key, chain]));
}

function frameOf(wire: WireListener): string {
  return hashOfListener({ ...wire, filter_chains: [], default_filter_chain: undefined });
}

/** The same for listeners that say the same. */
export function hashOfListener(wire: WireListener): string {
  return createHash("sha256").update(encode("envoy.config.listener.v3.Listener", wire)).digest("base64");
}
