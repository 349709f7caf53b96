/** Patches of listener filters. */
import type { Listener, ListenerFilter } from "@meltemi/protos/envoy/config/listener/v3";
import type { CompiledPatch } from "./compile-filter.ts";
import { editList } from "./list-edit.ts";
import { matchesListener } from "./listener-match.ts";
import { mergeNamedConfig } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";

/**
 * Carries out patches of a listener's filters. MERGE is for the filter that is named; istiod merges it into every filter of
 * the listener and, where their types differ, stops halfway.
 */
export function patchListenerFilters(listener: Listener, table: PatchTable, ledger: PatchLedger): Listener {
  const before = listener.listener_filters ?? [];
  let filters = before;
  for (const patch of table.of("LISTENER_FILTER")) {
    if (!matchesListener(listener, patch)) continue;
    const named = patch.match.listener?.listenerFilter ?? "";
    const matches = (filter: ListenerFilter): boolean => named === "" || filter.name === named;
    const edited =
      patch.operation === "MERGE"
        ? mergeFilters(filters, { patch, named }, ledger)
        : editList(filters, patch, { hasMatch: named !== "", matches });
    if (edited === undefined) continue;
    ledger.hit(patch);
    filters = edited;
  }
  return filters === before ? listener : { ...listener, listener_filters: filters };
}

function mergeFilters(
  filters: readonly ListenerFilter[],
  { patch, named }: { readonly patch: CompiledPatch; readonly named: string },
  ledger: PatchLedger,
): readonly ListenerFilter[] | undefined {
  let hasMerged = false;
  const merged = filters.map((filter) => {
    if (named === "" || filter.name !== named) return filter;
    const result = mergeNamedConfig(filter, patch);
    if (typeof result === "string") {
      ledger.fail(patch, result);
      return filter;
    }
    hasMerged = true;
    // The name stays, as it does in Istio.
    return { ...result, name: filter.name };
  });
  return hasMerged ? merged : undefined;
}
