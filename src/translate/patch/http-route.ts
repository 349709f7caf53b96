/** Patches of routes. */
import type { Route, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { CompiledPatch } from "./compile-filter.ts";
import { editList } from "./list-edit.ts";
import { isMerge, mergeValue, withPatchSource } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import { matchesRoute, namesRoute } from "./route-match.ts";

/**
 * A virtual host with its routes patched: first every route as it was is merged or removed, then routes are added, of which
 * later patches find the earlier ones'. `patches` are those for this virtual host.
 */
export function patchHttpRoutes(
  host: VirtualHost,
  patches: readonly CompiledPatch[],
  ledger: PatchLedger,
): VirtualHost {
  if (patches.length === 0) return host;
  const before = host.routes ?? [];
  const used = new Set<CompiledPatch>();
  let routes: readonly Route[] = before.flatMap((route) => patchRoute(route, patches, used) ?? []);
  for (const patch of patches) {
    const edited = addRoute(routes, patch);
    if (edited === undefined) continue;
    used.add(patch);
    routes = edited;
  }
  if (used.size === 0) return host;
  const patched: VirtualHost = { ...host, routes };
  let last: VirtualHost = host;
  for (const patch of used) {
    ledger.hit(patch);
    last = withPatchSource(patched, { before: last, patch });
  }
  return patched;
}

/** Undefined where the route was removed. */
function patchRoute(route: Route, patches: readonly CompiledPatch[], used: Set<CompiledPatch>): Route | undefined {
  let patched = route;
  for (const patch of patches) {
    if ((patch.operation !== "REMOVE" && !isMerge(patch)) || !matchesRoute(patched, patch)) continue;
    used.add(patch);
    if (patch.operation === "REMOVE") return undefined;
    patched = mergeValue(patched, patch);
  }
  return patched;
}

function addRoute(routes: readonly Route[], patch: CompiledPatch): readonly Route[] | undefined {
  const { operation } = patch;
  // There is nothing that takes the place of a route in Istio.
  if (operation === "REMOVE" || operation === "REPLACE") return undefined;
  const hasMatch = namesRoute(patch);
  const matches = (route: Route): boolean => matchesRoute(route, patch);
  // The first of all where the route that it is about is there.
  if (operation === "INSERT_FIRST" && hasMatch && !routes.some(matches)) return undefined;
  return editList(routes, patch, { hasMatch, matches });
}
