/** Patches of listeners and of all that is in them (Istio: networking/core/envoyfilter/listener_patch.go). */
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { CompiledPatch } from "./compile-filter.ts";
import { patchFilterChains } from "./filter-chain.ts";
import { patchInboundRoutes } from "./inbound-route.ts";
import { patchListenerFilters } from "./listener-filter.ts";
import { matchesListener } from "./listener-match.ts";
import { isMerge, mergeValue } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";

/** A listener with all patches carried out; the same one where nothing changed, undefined where it was removed. */
export function patchListener(listener: Listener, table: PatchTable, ledger: PatchLedger): Listener | undefined {
  let patched = table.context === "SIDECAR_INBOUND" ? patchInboundRoutes(listener, table, ledger) : listener;
  for (const patch of table.of("LISTENER")) {
    if ((patch.operation !== "REMOVE" && !isMerge(patch)) || !matchesListener(patched, patch)) continue;
    ledger.hit(patch);
    if (patch.operation === "REMOVE") return undefined;
    patched = mergeValue(patched, patch);
  }
  patched = patchListenerFilters(patched, table, ledger);
  return patchFilterChains(patched, table, ledger);
}

/** The listeners that patches add. Those for any context are added on the outbound side. */
export function listAddedListeners(table: PatchTable): readonly CompiledPatch[] {
  return table.of("LISTENER").filter(({ operation, value }) => operation === "ADD" && value !== undefined);
}
