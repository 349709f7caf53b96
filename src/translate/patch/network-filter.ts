/** Patches of network filters, and of the HTTP filters in connection managers. */
import type { Filter, FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { CompiledPatch } from "./compile-filter.ts";
import { connectionManagerName, patchHttpFilters } from "./http-filter.ts";
import type { ListTarget } from "./list-edit.ts";
import { findFilterMatch, matchesChain, matchesListener, matchesNetworkFilter } from "./listener-match.ts";
import { mergeNamedConfig, withPatchSource } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { editChain } from "./terminal-filters.ts";

export interface ChainOfListener {
  readonly listener: Listener;
  readonly chain: FilterChain;
}

/** First which filters there are, then filter by filter what they hold. The same chain where nothing changed. */
export function patchNetworkFilters(place: ChainOfListener, table: PatchTable, ledger: PatchLedger): FilterChain {
  const { chain } = place;
  const patches = table.of("NETWORK_FILTER").filter((patch) => isFor(place, patch));
  const httpPatches = table.of("HTTP_FILTER").filter((patch) => isFor(place, patch));
  if (patches.length === 0 && httpPatches.length === 0) return chain;
  const original = chain.filters ?? [];
  const targetOf = (patch: CompiledPatch): ListTarget<Filter> => ({
    hasMatch: findFilterMatch(patch) !== undefined,
    matches: (filter) => matchesNetworkFilter(filter, patch),
  });
  const edited = editChain(original, { patches, targetOf }, ledger);
  const used = new Set(edited.used);
  const merged = edited.filters.map((filter) => patchFilter(filter, { patches, httpPatches, used }, ledger));
  for (const patch of used) ledger.hit(patch);
  if (merged.length === original.length && merged.every((filter, index) => filter === original[index])) return chain;
  return noteSources({ ...chain, filters: merged }, chain, used);
}

function noteSources(chain: FilterChain, before: FilterChain, used: ReadonlySet<CompiledPatch>): FilterChain {
  let last = before;
  for (const patch of used) last = withPatchSource(chain, { before: last, patch });
  return chain;
}

function isFor({ listener, chain }: ChainOfListener, patch: CompiledPatch): boolean {
  return matchesListener(listener, patch) && matchesChain(listener, chain, patch);
}

interface FilterPatches {
  readonly patches: readonly CompiledPatch[];
  readonly httpPatches: readonly CompiledPatch[];
  /** Patches that changed something so far. */
  readonly used: Set<CompiledPatch>;
}

function patchFilter(filter: Filter, { patches, httpPatches, used }: FilterPatches, ledger: PatchLedger): Filter {
  let patched = filter;
  for (const patch of patches) {
    if (patch.operation !== "MERGE" || !matchesNetworkFilter(patched, patch)) continue;
    const merged = mergeNamedConfig(patched, patch);
    if (typeof merged === "string") {
      // Without a filter to match by, it is for those whose type it has.
      if (findFilterMatch(patch) !== undefined) ledger.fail(patch, merged);
      continue;
    }
    used.add(patch);
    patched = merged;
  }
  if (patched.name !== connectionManagerName) return patched;
  const matching = httpPatches.filter((patch) => matchesNetworkFilter(patched, patch));
  return patchHttpFilters(patched, { patches: matching, used }, ledger);
}
