/** Patches of filter chains and of what is in them. */
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { isDeepEqual } from "../../snapshot/is-deep-equal.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import { matchesChain, matchesListener } from "./listener-match.ts";
import { isMerge, mergeAny, mergeValue, withPatchSource } from "./merge-value.ts";
import { patchNetworkFilters } from "./network-filter.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";

/** Chains are merged and removed first, with all that is in them; then others are added, which no patch looks at. */
export function patchFilterChains(listener: Listener, table: PatchTable, ledger: PatchLedger): Listener {
  const before = listener.filter_chains ?? [];
  const kept = before.flatMap((chain) => patchChain({ listener, chain }, table, ledger) ?? []);
  const chains = addChains(listener, kept, { table, ledger });
  const { default_filter_chain: fallback, ...rest } = listener;
  const changed = chains.length !== before.length || chains.some((chain, index) => chain !== before[index]);
  const patchedFallback = fallback && patchChain({ listener, chain: fallback }, table, ledger);
  if (!changed && patchedFallback === fallback) return listener;
  return {
    ...rest,
    filter_chains: chains,
    ...(patchedFallback === undefined ? {} : { default_filter_chain: patchedFallback }),
  };
}

interface ChainPlace {
  readonly listener: Listener;
  readonly chain: FilterChain;
}

/** Undefined where the chain was removed. */
function patchChain({ listener, chain }: ChainPlace, table: PatchTable, ledger: PatchLedger): FilterChain | undefined {
  let patched = chain;
  for (const patch of table.of("FILTER_CHAIN")) {
    if (patch.operation === "ADD" || !matchesListener(listener, patch) || !matchesChain(listener, patched, patch)) {
      continue;
    }
    if (patch.operation === "REMOVE") {
      ledger.hit(patch);
      return undefined;
    }
    if (!isMerge(patch)) continue;
    const merged = mergeChain(patched, patch);
    if (typeof merged === "string") ledger.fail(patch, merged);
    else {
      ledger.hit(patch);
      patched = merged;
    }
  }
  return patchNetworkFilters({ listener, chain: patched }, table, ledger);
}

/** A transport socket of the name that is there already is merged in depth; the rest of such a patch has no effect. */
function mergeChain(chain: FilterChain, patch: CompiledPatch): FilterChain | string {
  const { transport_socket: theirs } = (patch.value ?? {}) as FilterChain;
  const { transport_socket: ours } = chain;
  if (theirs === undefined || ours === undefined || theirs.name !== ours.name) return mergeValue(chain, patch);
  if (theirs.typed_config === undefined || ours.typed_config === undefined) return chain;
  const merged = mergeAny(ours.typed_config, theirs.typed_config);
  if (typeof merged === "string") return merged;
  const patched = { ...chain, transport_socket: { ...ours, typed_config: merged } };
  return withPatchSource(patched, { before: chain, patch });
}

interface AddInput {
  readonly table: PatchTable;
  readonly ledger: PatchLedger;
}

/** Envoy refuses a listener of which two chains match the same. */
function addChains(
  listener: Listener,
  chains: readonly FilterChain[],
  { table, ledger }: AddInput,
): readonly FilterChain[] {
  const all = [...chains];
  for (const patch of table.of("FILTER_CHAIN")) {
    if (patch.operation !== "ADD" || patch.value === undefined || !matchesListener(listener, patch)) continue;
    const chain = patch.value as FilterChain;
    const match = chain.filter_chain_match ?? {};
    if (chain.filters === undefined) ledger.fail(patch, "the chain has no filters");
    else if (all.some((other) => isDeepEqual(other.filter_chain_match ?? {}, match))) {
      ledger.fail(patch, `${listener.name} has a chain with the same match already`);
    } else {
      ledger.hit(patch);
      all.push(chain);
    }
  }
  return all;
}
