import { type Labels, labelsMatch } from "../../api/object.ts";
import type { Sidecar } from "../../api/sidecar/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";

interface NamespaceSidecars {
  readonly selective: Sidecar[];
  default: Sidecar | undefined;
}

/** Whose Sidecar is looked for. */
export interface SidecarClient {
  readonly namespace: string;
  readonly labels: Labels;
  readonly rootNamespace: string;
}

/**
 * The Sidecar that applies to a workload: the oldest of its namespace that selects it, else the oldest of its namespace
 * without a selector, else that of the root namespace (Istio: model/push_context.go). `sidecars` are oldest first.
 */
export function findSidecar(sidecars: readonly Sidecar[], client: SidecarClient): Sidecar | undefined {
  if (sidecars.length === 0) return undefined;
  const index = indexSidecars(sidecars);
  const own = index.get(client.namespace);
  const selected = own?.selective.find((sidecar) =>
    labelsMatch(sidecar.spec.workloadSelector?.labels ?? {}, client.labels),
  );
  return selected ?? own?.default ?? index.get(client.rootNamespace)?.default;
}

const indexSidecars = memoByIdentity((sidecars: readonly Sidecar[]): ReadonlyMap<string, NamespaceSidecars> => {
  const index = new Map<string, NamespaceSidecars>();
  for (const sidecar of sidecars) {
    const group = index.get(sidecar.meta.namespace) ?? { selective: [], default: undefined };
    index.set(sidecar.meta.namespace, group);
    // A selector without labels selects every workload, and comes before a Sidecar without a selector all the same.
    if (sidecar.spec.workloadSelector !== undefined) group.selective.push(sidecar);
    else group.default ??= sidecar;
  }
  return index;
});
