/** Patches of virtual hosts and of what is in them. */
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { sourcesOf, withSources } from "../built.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import { patchHttpRoutes } from "./http-route.ts";
import { isMerge, mergeValue } from "./merge-value.ts";
import type { PatchLedger } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { matchesRouteConfiguration, matchesVirtualHost, type RoutePlace } from "./route-match.ts";

/** Hosts as they were are patched with their routes; then others are added, which no patch looks at. */
export function patchVirtualHosts(
  configuration: RouteConfiguration,
  { table, place }: { readonly table: PatchTable; readonly place: RoutePlace },
  ledger: PatchLedger,
): RouteConfiguration {
  const isFor = (patch: CompiledPatch): boolean => matchesRouteConfiguration(configuration, patch, place);
  const patches = table.of("VIRTUAL_HOST").filter(isFor);
  const routePatches = table.of("HTTP_ROUTE").filter(isFor);
  if (patches.length === 0 && routePatches.length === 0) return configuration;
  const before = configuration.virtual_hosts ?? [];
  const removed = new Set<string>();
  const patched = before.map((host) => {
    const result = patchHost(host, patches, ledger);
    if (result === undefined) {
      removed.add(host.name ?? "");
      return host;
    }
    return patchHttpRoutes(
      result,
      routePatches.filter((patch) => matchesVirtualHost(result, patch)),
      ledger,
    );
  });
  const added = patches.flatMap((patch) => {
    if (patch.operation !== "ADD" || patch.value === undefined) return [];
    ledger.hit(patch);
    return [patch.value as VirtualHost];
  });
  // All hosts of the name go: Istio remembers what to remove by it.
  const kept = [...patched, ...added].filter((host) => !removed.has(host.name ?? ""));
  const hosts = leaveOutTaken(kept, { patches, known: before }, ledger);
  const isSame = hosts.length === before.length && hosts.every((host, index) => host === before[index]);
  return isSame ? configuration : { ...configuration, virtual_hosts: hosts };
}

/** Undefined where the host was removed. */
function patchHost(host: VirtualHost, patches: readonly CompiledPatch[], ledger: PatchLedger): VirtualHost | undefined {
  let patched = host;
  for (const patch of patches) {
    if (patch.operation === "ADD" || !matchesVirtualHost(patched, patch)) continue;
    if (patch.operation === "REMOVE") {
      ledger.hit(patch);
      return undefined;
    }
    if (isMerge(patch)) patched = mergeValue(patched, patch);
    else if (patch.operation === "REPLACE" && patch.value !== undefined) patched = patch.value as VirtualHost;
    else continue;
    ledger.hit(patch);
  }
  return patched;
}

interface Owners {
  readonly patches: readonly CompiledPatch[];
  /** Hosts that were there before any patch. */
  readonly known: readonly VirtualHost[];
}

/** Envoy refuses a route configuration in which a domain stands twice: hosts that no patch touched keep theirs. */
function leaveOutTaken(
  hosts: readonly VirtualHost[],
  { patches, known }: Owners,
  ledger: PatchLedger,
): readonly VirtualHost[] {
  const untouched = new Set(known);
  const taken = new Set(hosts.filter((host) => untouched.has(host)).flatMap(({ domains = [] }) => domains));
  return hosts.flatMap((host) => {
    if (untouched.has(host)) return [host];
    const free = (host.domains ?? []).filter(
      (domain, index, all) => !taken.has(domain) && all.indexOf(domain) === index,
    );
    for (const domain of free) taken.add(domain);
    if (free.length === host.domains?.length) return [host];
    for (const patch of patches.filter(({ value }) => namesDomainOf(value, host))) {
      ledger.fail(patch, `another virtual host has the domains that are left out of ${host.name}`);
    }
    return free.length === 0 ? [] : [withSources({ ...host, domains: free }, sourcesOf(host))];
  });
}

function namesDomainOf(value: object | undefined, { domains = [] }: VirtualHost): boolean {
  return ((value as VirtualHost | undefined)?.domains ?? []).some((domain) => domains.includes(domain));
}
