/** A pod while it is being injected: its parts as plain data, and how they are put together again. */
import type { Labels } from "../api/object.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { container } from "./annotation-names.ts";
import { findNamed, listField, nameOf, objectField, textsField, unlessEmpty, withFields } from "./pod-fields.ts";

export interface PodDraft {
  readonly pod: PlainObject;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly containers: readonly PlainObject[];
  readonly initContainers: readonly PlainObject[];
}

export function openPod(pod: PlainObject): PodDraft {
  const metadata = objectField(pod, "metadata");
  const spec = objectField(pod, "spec");
  return {
    pod,
    labels: textsField(metadata, "labels"),
    annotations: textsField(metadata, "annotations"),
    containers: listField(spec, "containers"),
    initContainers: listField(spec, "initContainers"),
  };
}

export function closePod({ pod, labels, annotations, containers, initContainers }: PodDraft): PlainObject {
  const metadata = objectField(pod, "metadata");
  const spec = objectField(pod, "spec");
  // What was absent and is still empty stays absent.
  const keep = <Value extends PlainObject | readonly PlainValue[]>(parent: PlainObject, name: string, value: Value) =>
    Object.hasOwn(parent, name) ? value : unlessEmpty(value);
  return withFields(pod, {
    metadata: withFields(metadata, {
      labels: keep(metadata, "labels", { ...labels }),
      annotations: keep(metadata, "annotations", { ...annotations }),
    }),
    spec: withFields(spec, {
      initContainers: keep(spec, "initContainers", initContainers),
      containers: keep(spec, "containers", containers),
    }),
  });
}

/** The proxy's container, wherever it is. */
export const findProxy = ({ containers, initContainers }: PodDraft): PlainObject | undefined =>
  findNamed(containers, container.proxy) ?? findNamed(initContainers, container.proxy);

/** Changes containers one by one, those of both lists. */
export function mapContainers(draft: PodDraft, change: (item: PlainObject) => PlainObject): PodDraft {
  return { ...draft, containers: draft.containers.map(change), initContainers: draft.initContainers.map(change) };
}

export function changeContainer(draft: PodDraft, name: string, change: (item: PlainObject) => PlainObject): PodDraft {
  return mapContainers(draft, (item) => (nameOf(item) === name ? change(item) : item));
}

export interface SetVariable {
  readonly name: string;
  readonly value: string;
  /** Whether it comes last even where the container has it already. */
  readonly isMoved?: boolean;
}

/** Sets a variable of a container: in its place where there is one, else last. */
export function setVariable(item: PlainObject, { name, value, isMoved = false }: SetVariable): PlainObject {
  const env = listField(item, "env");
  const entry = { name, value };
  const isThere = env.some((existing) => nameOf(existing) === name);
  if (isThere && !isMoved) {
    return { ...item, env: env.map((existing) => (nameOf(existing) === name ? entry : existing)) };
  }
  return { ...item, env: [...env.filter((existing) => nameOf(existing) !== name), entry] };
}
