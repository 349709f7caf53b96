/** In which generation of the snapshot each object took the form that it has now. */
import { type ObjectRef, objectKey } from "../lib/message.ts";
import type { Snapshot, SnapshotChange } from "../snapshot/snapshot.ts";

type Kind = Parameters<Snapshot["findObject"]>[0];

/** Platform objects come and go by the thousand, and nobody asks on how many proxies they are live. */
const uncounted: ReadonlySet<string> = new Set<Kind | "Secret">([
  "Service",
  "EndpointSlice",
  "Endpoints",
  "Pod",
  "Node",
  "Namespace",
  "Secret",
  "ConfigMap",
  "ServiceAccount",
]);

/** True for kinds whose objects are followed to the proxies: those that people write for the mesh. */
export function isFollowed(kind: string): boolean {
  return !uncounted.has(kind);
}

export class ObjectGenerations {
  readonly #changed = new Map<string, number>();

  /**
   * Takes a change in. An object with the `metadata.generation` that it had is the same: what differs then is no part of
   * what it says. Objects of the first snapshot count as old as it.
   */
  note({ before, after, objects }: SnapshotChange): void {
    if (before === undefined) return;
    for (const ref of objects) {
      if (!isFollowed(ref.kind)) continue;
      const now = findObject(after, ref);
      if (now === undefined) {
        this.#changed.delete(objectKey(ref));
        continue;
      }
      const earlier = findObject(before, ref);
      const isSame =
        earlier !== undefined &&
        earlier.meta.uid === now.meta.uid &&
        now.meta.generation !== undefined &&
        earlier.meta.generation === now.meta.generation;
      if (!isSame) this.#changed.set(objectKey(ref), after.generation);
    }
  }

  /** Keys of the objects that changed after a generation of the snapshot, with the generation in which each did. */
  *listAfter(generation: number): Iterable<readonly [string, number]> {
    for (const entry of this.#changed) if (entry[1] > generation) yield entry;
  }

  /** Generation of the snapshot in which the object (a key as objectKey) last changed; 0 where it never did. */
  find(key: string): number {
    return this.#changed.get(key) ?? 0;
  }
}

function findObject(snapshot: Snapshot, { kind, namespace, name }: ObjectRef) {
  // A ref names its kind as text; no object has a kind that the snapshot does not know.
  return snapshot.findObject(kind as Kind, namespace, name);
}
