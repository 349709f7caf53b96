import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Generators } from "../generators.ts";
import type { PatchOutcome } from "./patch-notes.ts";
import { mergeOutcomes } from "./patch-outcomes.ts";

/** What became of all patches that are for one of these proxies; proxies with equal keys count once. */
export function listMeshOutcomes(
  generators: Generators,
  snapshot: Snapshot,
  proxies: Iterable<MeshProxy>,
): readonly PatchOutcome[] {
  const { patchOutcomes } = generators;
  if (patchOutcomes === undefined || snapshot.envoyFilters.length === 0) return [];
  const seen = new Set<string>();
  const outcomes: PatchOutcome[] = [];
  for (const proxy of proxies) {
    // Proxyless clients get nothing that could be patched.
    if (proxy.generator === "grpc") continue;
    const keys = generators.deriveKeys(snapshot, proxy);
    const scope = generators.createScopeView(snapshot, keys.scope);
    if (seen.has(keys.workload.id)) continue;
    seen.add(keys.workload.id);
    outcomes.push(...patchOutcomes(generators.createWorkloadView(scope, keys.workload)));
  }
  return mergeOutcomes(outcomes);
}
