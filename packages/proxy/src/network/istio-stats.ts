import type { NetworkFilter, NetworkFilterFactory } from "./types.ts";

/** Istio's own statistics of TCP connections change nothing that a client sees: the filter is taken and does nothing. */
export const istioStatsFactory: NetworkFilterFactory<Readonly<Record<string, unknown>>> = {
  name: "istio.stats",
  type: "stats.PluginConfig",
  compile: (): NetworkFilter => ({}),
};
