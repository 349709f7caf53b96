import type { Kind, MeshObject, ObjectOf } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import type { ObjectRef } from "../lib/message.ts";
import { compareText } from "../lib/text-order.ts";
import type { ObjectChange } from "../sources/source.ts";
import { createPersistentMap, draftMap, type MapDraft, type PersistentMap } from "./persistent-map.ts";

/** What became of one object in one step; equal objects on both sides never appear. */
export interface ObjectDelta {
  readonly ref: ObjectRef;
  readonly before: MeshObject | undefined;
  readonly after: MeshObject | undefined;
}

/** All objects by kind and "namespace/name". */
export type ObjectMaps = ReadonlyMap<Kind, PersistentMap<MeshObject>>;

const emptyMap = createPersistentMap<MeshObject>();

/** "namespace/name", the key of an object within its kind. */
export function nameKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** Applies changes in order and tells what differs in the end: a set that a later one undoes is no difference. */
export function applyObjectChanges(
  maps: ObjectMaps,
  changes: readonly ObjectChange[],
): { readonly maps: ObjectMaps; readonly deltas: readonly ObjectDelta[] } {
  const drafts = new Map<Kind, MapDraft<MeshObject>>();
  const touched = new Map<string, { readonly kind: Kind; readonly key: string; readonly ref: ObjectRef }>();
  for (const change of changes) {
    const ref = change.type === "set" ? refOf(change.object) : change.ref;
    // A deletion names its kind as text; one that no object can have changes nothing.
    const kind = ref.kind as Kind;
    const key = nameKey(ref.namespace, ref.name);
    const draft = drafts.get(kind) ?? draftMap(maps.get(kind) ?? emptyMap);
    drafts.set(kind, draft);
    touched.set(`${kind}/${key}`, { kind, key, ref });
    if (change.type === "set") draft.set(key, change.object);
    else draft.delete(key);
  }
  const after = new Map(maps);
  for (const [kind, draft] of drafts) after.set(kind, draft.finish());
  const deltas: ObjectDelta[] = [];
  for (const { kind, key, ref } of touched.values()) {
    const delta = { ref, before: maps.get(kind)?.get(key), after: after.get(kind)?.get(key) };
    if (delta.before !== delta.after) deltas.push(delta);
  }
  return { maps: deltas.length === 0 ? maps : after, deltas };
}

const sortedLists = new WeakMap<PersistentMap<MeshObject>, readonly MeshObject[]>();

/** Objects of a kind by namespace and name; the same array as long as no object of the kind changes. */
export function listObjects<K extends Kind>(maps: ObjectMaps, kind: K): readonly ObjectOf<K>[] {
  const map = maps.get(kind) ?? emptyMap;
  let list = sortedLists.get(map);
  if (list === undefined) {
    list = [...map.values()].sort(
      (a, b) => compareText(a.meta.namespace, b.meta.namespace) || compareText(a.meta.name, b.meta.name),
    );
    sortedLists.set(map, list);
  }
  // The map holds objects of this kind only, see applyObjectChanges.
  return list as readonly ObjectOf<K>[];
}

export function findObject<K extends Kind>(maps: ObjectMaps, kind: K, key: string): ObjectOf<K> | undefined {
  return maps.get(kind)?.get(key) as ObjectOf<K> | undefined;
}
