/** Configuration of subsets, of a cluster or of a load balancing policy. */

import { structToJson } from "@meltemi/protos";
import type { Cluster_LbSubsetConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import { ConfigError, compileAll } from "../../lib/config-error.ts";

export interface SubsetSelector {
  /** In order of their names. */
  readonly keys: readonly string[];
  readonly fallback: "NOT_DEFINED" | "NO_FALLBACK" | "ANY_ENDPOINT" | "DEFAULT_SUBSET" | "KEYS_SUBSET";
  readonly fallbackKeys: readonly string[];
  readonly isSingleHost: boolean;
}

export interface SubsetConfig {
  readonly selectors: readonly SubsetSelector[];
  readonly fallback: "NO_FALLBACK" | "ANY_ENDPOINT" | "DEFAULT_SUBSET";
  readonly defaultSubset: Readonly<Record<string, unknown>>;
  readonly usesFallbackList: boolean;
  readonly listsAreAny: boolean;
  readonly panicsToAny: boolean;
  readonly isLocalityWeightAware: boolean;
  readonly scalesLocalityWeight: boolean;
}

export function compileSubsetConfig(wire: Cluster_LbSubsetConfig): SubsetConfig {
  return {
    selectors: compileAll("subset_selectors", wire.subset_selectors, (selector) => {
      const keys = [...(selector.keys ?? [])].sort();
      if (keys.length === 0) throw new ConfigError("keys", "is required");
      if (new Set(keys).size < keys.length && !("allow_redundant_keys" in wire && wire.allow_redundant_keys)) {
        throw new ConfigError("keys", "names a key twice");
      }
      const isSingleHost = selector.single_host_per_subset ?? false;
      if (isSingleHost && keys.length !== 1) {
        throw new ConfigError("single_host_per_subset", "takes one key");
      }
      const fallback = selector.fallback_policy ?? "NOT_DEFINED";
      const fallbackKeys = selector.fallback_keys_subset ?? [];
      if (fallback === "KEYS_SUBSET") checkFallbackKeys(keys, fallbackKeys);
      return { keys, fallback, fallbackKeys, isSingleHost };
    }),
    fallback: wire.fallback_policy ?? "NO_FALLBACK",
    defaultSubset: wire.default_subset ? structToJson(wire.default_subset) : {},
    usesFallbackList: wire.metadata_fallback_policy === "FALLBACK_LIST",
    listsAreAny: wire.list_as_any ?? false,
    panicsToAny: wire.panic_mode_any ?? false,
    isLocalityWeightAware: wire.locality_weight_aware ?? false,
    scalesLocalityWeight: wire.scale_locality_weight ?? false,
  };
}

/** They must be some of the keys, and not all, so that falling back ends. */
function checkFallbackKeys(keys: readonly string[], fallbackKeys: readonly string[]): void {
  if (fallbackKeys.length === 0) throw new ConfigError("fallback_keys_subset", "cannot be empty");
  if (!fallbackKeys.every((key) => keys.includes(key))) {
    throw new ConfigError("fallback_keys_subset", "must be a subset of the selector keys");
  }
  if (fallbackKeys.length === keys.length) {
    throw new ConfigError("fallback_keys_subset", "cannot be equal to the selector keys");
  }
}
