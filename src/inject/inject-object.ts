/** Injection of whatever makes pods: Deployments and the like, as files have them. */
import { createFindings } from "../api/findings.ts";
import { copyPlain, type PlainObject } from "../api/plain-value.ts";
import { formatObjectRef, type Message, type ObjectRef } from "../lib/message.ts";
import type { SkipReason } from "./decide-injection.ts";
import { type InjectionInput, injectPod } from "./injection.ts";
import type { JsonPatch } from "./json-patch.ts";
import { field, isObject, listField, objectField, textField } from "./pod-fields.ts";
import type { WorkloadOwner } from "./workload-owner.ts";

/** Everything but what comes from the object itself. */
export type ObjectSettings = Omit<InjectionInput, "pod" | "podNamespace" | "owner"> & {
  /** Namespace of objects that name none. */
  readonly defaultNamespace: string;
};

export interface SkippedObject {
  readonly object: ObjectRef;
  readonly reason: SkipReason;
}

export interface ObjectInjection {
  /** Operations on the whole object; none where nothing changes. */
  readonly patch: JsonPatch;
  readonly skipped: readonly SkippedObject[];
  /** Paths are those of the object. Nothing of it may be used where one is an error. */
  readonly messages: readonly Message[];
}

/** Where the pod of a workload stands, by API group and kind. */
const podTemplates: Readonly<Record<string, readonly string[]>> = {
  "/Pod": [],
  "/ReplicationController": ["spec", "template"],
  "apps/Deployment": ["spec", "template"],
  "apps/DaemonSet": ["spec", "template"],
  "apps/ReplicaSet": ["spec", "template"],
  "apps/StatefulSet": ["spec", "template"],
  "batch/Job": ["spec", "template"],
  "batch/CronJob": ["spec", "jobTemplate", "spec", "template"],
  "apps.openshift.io/DeploymentConfig": ["spec", "template"],
};

/** Lists within lists are nobody's way to write a file. */
const deepestList = 3;

/** Injects the pod of one object, or of each object of a List. An object that makes no pods has an empty patch. */
export function injectObject(raw: unknown, settings: ObjectSettings): ObjectInjection {
  const object = copyPlain(raw, [], createFindings());
  return isObject(object) ? injectAt(object, settings, []) : nothing;
}

const nothing: ObjectInjection = { patch: [], skipped: [], messages: [] };

function injectAt(object: PlainObject, settings: ObjectSettings, place: readonly string[]): ObjectInjection {
  if (object["kind"] === "List" && object["apiVersion"] === "v1") {
    if (place.length / 2 >= deepestList) return nothing;
    const results = listField(object, "items").map((item, index) =>
      injectAt(item, settings, [...place, "items", String(index)]),
    );
    return {
      patch: results.flatMap(({ patch }) => patch),
      skipped: results.flatMap(({ skipped }) => skipped),
      messages: results.flatMap(({ messages }) => messages),
    };
  }
  const path = podTemplates[`${groupOf(object)}/${textField(object, "kind")}`];
  return path === undefined ? nothing : injectWorkload(object, settings, { place, path });
}

function groupOf(object: PlainObject): string {
  const apiVersion = textField(object, "apiVersion");
  return apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
}

interface PodPlace {
  /** Of the object in the document. */
  readonly place: readonly string[];
  /** Of the pod in the object. */
  readonly path: readonly string[];
}

function injectWorkload(object: PlainObject, settings: ObjectSettings, { place, path }: PodPlace): ObjectInjection {
  const metadata = objectField(object, "metadata");
  const said = textField(metadata, "namespace");
  const namespace = said === "" ? settings.defaultNamespace : said;
  const ref = { kind: textField(object, "kind"), namespace, name: textField(metadata, "name") };
  let pod: PlainObject | undefined = object;
  for (const step of path) {
    const next: unknown = pod && field(pod, step);
    pod = isObject(next as never) ? (next as PlainObject) : undefined;
  }
  if (pod === undefined) {
    const text = "is required: it is the pod to inject";
    return { ...nothing, messages: [{ level: "error", code: "required", object: ref, path: path.join("."), text }] };
  }
  const owner: WorkloadOwner = { ...ref, apiVersion: textField(object, "apiVersion") };
  const result = injectPod({ ...settings, pod, podNamespace: namespace, ...(path.length === 0 ? {} : { owner }) });
  if (result.kind === "skipped") return { ...nothing, skipped: [{ object: ref, reason: result.reason }] };
  const messages = result.messages.map((message) => ({
    ...message,
    object: ref,
    path: [...path, message.path].join("."),
  }));
  if (result.kind === "refused") return { ...nothing, messages };
  const prefix = [...place, ...path].map((step) => `/${step}`).join("");
  return {
    patch: result.patch.map((operation) => ({ ...operation, path: `${prefix}${operation.path}` })),
    skipped: [],
    messages,
  };
}

/** Formats why an object is left alone. */
export const formatSkipped = ({ object, reason }: SkippedObject): string =>
  `${formatObjectRef(object)} is not injected: ${reason}`;
