/**
 * Which patches are for a proxy: what of EnvoyFilters goes into keys. A filter of the root namespace is for all proxies,
 * any other for those of its own namespace (Istio: model/push_context.go, EnvoyFilters).
 */
import { effectiveOperation } from "../../api/envoy-filter/patch-effect.ts";
import { matchesProxyVersion } from "../../api/envoy-filter/proxy-version.ts";
import type { ConfigPatch, EnvoyFilter } from "../../api/envoy-filter/schema.ts";
import { compareByAgeAndFullName, type Labels, labelsMatch } from "../../api/object.ts";
import { findOwn } from "../../lib/find-own.ts";
import { memoByKey } from "../../lib/slot-memo.ts";
import type { ProxyType } from "../../model/proxy.ts";
import type { PatchSelection } from "../scope.ts";

/** What of a proxy decides which patches it gets. */
export interface PatchedProxy {
  readonly type: ProxyType;
  readonly namespace: string;
  readonly labels: Labels;
  readonly metadata: { readonly [name: string]: unknown };
  readonly rootNamespace: string;
}

/** Patches by the key that they belong to: each is in as many keys as it can change the output of, and no others. */
export interface SelectedPatches {
  readonly scope: readonly PatchSelection[];
  readonly listener: readonly PatchSelection[];
  readonly workload: readonly PatchSelection[];
}

type KeyName = keyof SelectedPatches;

const nothing: SelectedPatches = { scope: [], listener: [], workload: [] };

/** The patches for a proxy, in the order in which they are applied. */
export function selectPatches(filters: readonly EnvoyFilter[], proxy: PatchedProxy): SelectedPatches {
  const candidates = listCandidates(filters, `${proxy.rootNamespace}/${proxy.namespace}`);
  if (candidates.length === 0) return nothing;
  const selecting = candidates.filter((filter) => selectsProxy(filter, proxy));
  const pick = (keyName: KeyName): readonly PatchSelection[] =>
    selecting.flatMap((filter) => {
      const patches = (filter.spec.configPatches ?? []).flatMap((patch, index) =>
        listKeys(patch, proxy.type).includes(keyName) && matchesProxy(patch, proxy) ? [index] : [],
      );
      return patches.length === 0 ? [] : [{ namespace: filter.meta.namespace, name: filter.meta.name, patches }];
    });
  return { scope: pick("scope"), listener: pick("listener"), workload: pick("workload") };
}

const listCandidates: (filters: readonly EnvoyFilter[], place: string) => readonly EnvoyFilter[] = memoByKey(
  (filters: readonly EnvoyFilter[], place) => {
    const slash = place.indexOf("/");
    const [root, namespace] = [place.slice(0, slash), place.slice(slash + 1)];
    return filters
      .filter(({ meta }) => meta.namespace === namespace || (root !== "" && meta.namespace === root))
      .sort((a, b) => comparePlaces(a, b, root));
  },
);

/** Priority, then the root namespace before others, then age (Istio: push_context.go EnvoyFilters). */
function comparePlaces(a: EnvoyFilter, b: EnvoyFilter, root: string): number {
  const rank = ({ meta }: EnvoyFilter): number => (meta.namespace === root ? 0 : 1);
  return (a.spec.priority ?? 0) - (b.spec.priority ?? 0) || rank(a) - rank(b) || compareByAgeAndFullName(a, b);
}

// What targetRefs may name belongs to the Kubernetes Gateway API and to waypoints, neither of which is served here.
function selectsProxy({ spec }: EnvoyFilter, { labels }: PatchedProxy): boolean {
  return (spec.targetRefs ?? []).length === 0 && labelsMatch(spec.workloadSelector?.labels ?? {}, labels);
}

function matchesProxy({ match }: ConfigPatch, { metadata }: PatchedProxy): boolean {
  const proxy = match?.proxy;
  if (proxy === undefined) return true;
  const version = findOwn(metadata, "ISTIO_VERSION");
  if (!matchesProxyVersion(proxy, typeof version === "string" ? version : "")) return false;
  return Object.entries(proxy.metadata ?? {}).every(([name, value]) => findOwn(metadata, name) === value);
}

function listKeys({ applyTo = "INVALID", match, patch }: ConfigPatch, type: ProxyType): readonly KeyName[] {
  const { context = "ANY" } = match ?? {};
  const { operation = "INVALID" } = patch ?? {};
  if (applyTo === "INVALID" || applyTo === "BOOTSTRAP" || operation === "INVALID" || context === "WAYPOINT") return [];
  if (applyTo === "EXTENSION_CONFIG") return ["scope"];
  const isShared = applyTo === "CLUSTER" || /ROUTE|VIRTUAL_HOST/.test(applyTo);
  const outbound: KeyName = isShared ? "scope" : "listener";
  if (type === "router") return context === "ANY" || context === "GATEWAY" ? [outbound] : [];
  if (context === "SIDECAR_OUTBOUND") return [outbound];
  if (context === "SIDECAR_INBOUND") return ["workload"];
  if (context !== "ANY") return [];
  // What is added once for all of a sidecar belongs to its outbound side.
  const isAddedOnce =
    (applyTo === "LISTENER" || applyTo === "CLUSTER") && effectiveOperation(applyTo, operation) === "ADD";
  return isAddedOnce ? [outbound] : [outbound, "workload"];
}
