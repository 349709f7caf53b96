import type { ObjectRef, Position } from "../lib/message.ts";
import { compareText } from "../lib/text-order.ts";

/** Labels or annotations: names to values. */
export type Labels = { readonly [name: string]: string };

/** What Meltemi keeps of an object's metadata. `namespace` is "" for objects of the whole cluster. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** RFC 3339; absent in files, where the order of reading decides instead. */
  readonly creationTimestamp?: string;
  readonly resourceVersion?: string;
  readonly uid?: string;
  readonly generation?: number;
}

/**
 * One object of the mesh, read and checked: `kind` decides the type of `spec`. Kubernetes kinds carry a slim record with
 * only what Meltemi uses; Istio kinds carry their whole spec as the schema types it. Objects are immutable: a changed
 * object is a new one, so identity tells whether something changed.
 */
export interface ApiObject<Kind extends string, Spec> {
  readonly kind: Kind;
  /** As it was written, such as "networking.istio.io/v1beta1". */
  readonly apiVersion: string;
  readonly meta: ObjectMeta;
  readonly spec: Spec;
  /** Where the object stands, for files. */
  readonly position?: Position;
}

export function refOf(object: { readonly kind: string; readonly meta: ObjectMeta }): ObjectRef {
  return { kind: object.kind, namespace: object.meta.namespace, name: object.meta.name };
}

/**
 * Istio's order of age: the older object comes first and wins a conflict; equal age falls back to name, then namespace
 * (pilot/pkg/model/config.go). Objects without a time count as equally old, and older than all others.
 */
export function compareByAge(a: { readonly meta: ObjectMeta }, b: { readonly meta: ObjectMeta }): number {
  return compareTimes(a, b) || compareText(a.meta.name, b.meta.name) || compareText(a.meta.namespace, b.meta.namespace);
}

/** The order of EnvoyFilters: as compareByAge, but equal age falls back to "name.namespace" as one text. */
export function compareByAgeAndFullName(a: { readonly meta: ObjectMeta }, b: { readonly meta: ObjectMeta }): number {
  return compareTimes(a, b) || compareText(`${a.meta.name}.${a.meta.namespace}`, `${b.meta.name}.${b.meta.namespace}`);
}

function compareTimes(a: { readonly meta: ObjectMeta }, b: { readonly meta: ObjectMeta }): number {
  return compareText(a.meta.creationTimestamp ?? "", b.meta.creationTimestamp ?? "");
}

/** True where every label of the selector has the same value on the object; an empty selector selects everything. */
export function labelsMatch(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}
