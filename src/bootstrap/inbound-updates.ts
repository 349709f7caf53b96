import type { Kind } from "../api/kinds.ts";
import type { ChangeSet, ObjectChange } from "../sources/source.ts";

/** Words of istiod's metric pilot_inbound_updates. */
type UpdateType = "config" | "eds" | "svc" | "svcdelete";

const endpointKinds: ReadonlySet<string> = new Set<Kind>([
  "EndpointSlice",
  "Endpoints",
  "Pod",
  "Node",
  "WorkloadEntry",
]);

/** How many updates of each type a change set holds. */
export function countInboundUpdates({ changes }: ChangeSet): ReadonlyMap<UpdateType, number> {
  const counts = new Map<UpdateType, number>();
  for (const change of changes) {
    const type = classify(change);
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return counts;
}

function classify(change: ObjectChange): UpdateType {
  const kind = change.type === "set" ? change.object.kind : change.ref.kind;
  if (kind === "Service") return change.type === "set" ? "svc" : "svcdelete";
  return endpointKinds.has(kind) ? "eds" : "config";
}
