/** Patches of route configurations and of what is in them (Istio: networking/core/envoyfilter/rc_patch.go). */
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { isMerge, mergeValue } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { matchesRouteConfiguration, type RoutePlace } from "./route-match.ts";
import { patchVirtualHosts } from "./virtual-host.ts";

/** The configuration with all patches carried out; the same one where nothing changed. Its name stays: listeners ask by it. */
export function patchRouteConfiguration(
  configuration: RouteConfiguration,
  { table, place }: { readonly table: PatchTable; readonly place: RoutePlace },
  ledger: PatchLedger,
): RouteConfiguration {
  let patched = configuration;
  for (const patch of table.of("ROUTE_CONFIGURATION")) {
    if (!isMerge(patch) || !matchesRouteConfiguration(patched, patch, place)) continue;
    ledger.hit(patch);
    const { name } = patched;
    patched = { ...mergeValue(patched, patch), ...(name === undefined ? {} : { name }) };
  }
  return patchVirtualHosts(patched, { table, place }, ledger);
}
