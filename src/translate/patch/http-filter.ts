/** Patches of the HTTP filters of a connection manager. */
import { packAny, unpackAs } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { CompiledPatch } from "./compile-filter.ts";
import type { ListTarget } from "./list-edit.ts";
import { findFilterMatch } from "./listener-match.ts";
import { mergeNamedConfig } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import { editChain } from "./terminal-filters.ts";

export const connectionManagerName = "envoy.filters.network.http_connection_manager";
export const connectionManagerType =
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

export interface HttpFilterPatches {
  /** Patches that are for this connection manager. */
  readonly patches: readonly CompiledPatch[];
  /** Takes those that change something. */
  readonly used: Set<CompiledPatch>;
}

/** The connection manager with its filters patched; the same one where nothing changed. */
export function patchHttpFilters(filter: Filter, { patches, used }: HttpFilterPatches, ledger: PatchLedger): Filter {
  if (patches.length === 0 || filter.typed_config === undefined) return filter;
  const manager = unpackAs(connectionManagerType, filter.typed_config);
  if (manager === undefined) return filter;
  const original = manager.http_filters ?? [];
  const targetOf = (patch: CompiledPatch): ListTarget<HttpFilter> => ({
    hasMatch: findFilterMatch(patch)?.subFilter !== undefined,
    matches: (each) => matchesHttpFilter(each, patch),
  });
  const edited = editChain(original, { patches, targetOf }, ledger);
  for (const patch of edited.used) used.add(patch);
  const merged = edited.filters.map((httpFilter) => mergeFilter(httpFilter, { patches, used }, ledger));
  if (merged.length === original.length && merged.every((each, index) => each === original[index])) return filter;
  return { ...filter, typed_config: packAny(connectionManagerType, { ...manager, http_filters: merged }) };
}

function mergeFilter(filter: HttpFilter, { patches, used }: HttpFilterPatches, ledger: PatchLedger): HttpFilter {
  let patched = filter;
  for (const patch of patches) {
    if (patch.operation !== "MERGE" || !matchesHttpFilter(patched, patch)) continue;
    const merged = mergeNamedConfig(patched, patch);
    if (typeof merged === "string") {
      // Without a filter to match by, it is for those whose type it has.
      if (findFilterMatch(patch)?.subFilter !== undefined) ledger.fail(patch, merged);
      continue;
    }
    used.add(patch);
    patched = merged;
  }
  return patched;
}

function matchesHttpFilter(filter: HttpFilter, patch: CompiledPatch): boolean {
  const named = findFilterMatch(patch)?.subFilter;
  return named === undefined || (named.name ?? "") === (filter.name ?? "");
}
