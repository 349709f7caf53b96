/** From what the API server sends to what the mesh keeps of it. */
import type { MeshObject } from "../../api/kinds.ts";
import { isIstioKind } from "../../api/known-kinds.ts";
import type { Labels, ObjectMeta } from "../../api/object.ts";
import { parseObject } from "../../api/parse.ts";
import type { Message } from "../../lib/message.ts";
import { apiVersionOf, type WatchTarget } from "./watch-target.ts";

/** What tells one state of an object from another, read without looking at the rest. */
export interface RawIdentity {
  readonly name: string;
  /** "" for objects of the whole cluster. */
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export function readRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function readText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Identity of a raw object; undefined where it is of another kind, or has no name. */
export function readIdentity(raw: unknown, target: WatchTarget): RawIdentity | undefined {
  const record = readRecord(raw);
  const metadata = readRecord(record["metadata"]);
  const [kind, name] = [readText(record["kind"]), readText(metadata["name"])];
  // Items of a list of a built-in kind carry no kind of their own.
  if ((kind !== "" && kind !== target.kind) || name === "") return undefined;
  return {
    name,
    namespace: readText(metadata["namespace"]),
    uid: readText(metadata["uid"]),
    resourceVersion: readText(metadata["resourceVersion"]),
  };
}

/** `metadata.resourceVersion` of a list, a bookmark or an object. */
export function readResourceVersion(raw: unknown): string {
  return readText(readRecord(readRecord(raw)["metadata"])["resourceVersion"]);
}

export interface Kept {
  /** Absent where the object has errors. */
  readonly object: MeshObject | undefined;
  readonly messages: readonly Message[];
}

/** Parses a raw object and keeps only what the mesh reads. Never throws. */
export function keepObject(raw: unknown, target: WatchTarget, version: string): Kept {
  const typed = { ...readRecord(raw), kind: target.kind, apiVersion: apiVersionOf(target.group, version) };
  const { object, messages } = parseObject(typed, { unknownFields: "warning" });
  return { object: object === undefined ? undefined : { ...object, meta: slimMeta(object) }, messages };
}

/**
 * The metadata without what changes though nothing changes for the mesh: resource versions move with every status, and
 * would differ between replicas that saw different steps on the way to the same state.
 */
function slimMeta({ kind, meta }: MeshObject): ObjectMeta {
  const { resourceVersion: _, generation, annotations, ...kept } = meta;
  const isOurs = isIstioKind(kind);
  return {
    ...kept,
    annotations: keepAnnotations(annotations, isOurs),
    ...(generation !== undefined && isOurs ? { generation } : {}),
  };
}

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
/**
 * Those of controllers tell the time of their last step or hold a lock; only Istio's and ours mean something here, and the
 * users that OpenShift gives a namespace.
 */
const meaningful =
  /(^|\.)(istio\.io|meltemi\.dev)\/|^(service|topology|networking)\.[a-z.]*kubernetes\.io\/|^openshift\.io\/sa\.scc\./;
const noAnnotations: Labels = {};

function keepAnnotations(annotations: Labels, isOurs: boolean): Labels {
  const isKept = (name: string): boolean => (isOurs ? name !== lastApplied : meaningful.test(name));
  const kept = Object.entries(annotations).filter(([name]) => isKept(name));
  return kept.length === 0 ? noAnnotations : Object.fromEntries(kept);
}
