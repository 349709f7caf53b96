/**
 * Who looks after an entry, and since when: kept in its annotations, so that any replica can take over (Istio:
 * pilot/pkg/autoregistration/controller.go).
 */
import type { Labels } from "../api/object.ts";
import { formatInstant, parseInstant } from "../lib/clock.ts";
import { groupAnnotation } from "./build-entry.ts";

const controllerAnnotation = "istio.io/workloadController";
const connectedAnnotation = "istio.io/connectedAt";
const disconnectedAnnotation = "istio.io/disconnectedAt";

/** Annotations to be set, or taken away (null). */
export type AnnotationPatch = { readonly [name: string]: string | null };

/** A connection, or the last one of several, of this replica. */
export interface Presence {
  /** Name of this replica. */
  readonly instance: string;
  /** Milliseconds since the epoch. */
  readonly connectedAtMs: number;
}

export interface CleanupLimits {
  readonly nowMs: number;
  /** Milliseconds that a workload may be away. */
  readonly graceMs: number;
  /** Milliseconds after which nobody can be connected any more; infinity where connections have no greatest age. */
  readonly maxAgeMs: number;
}

/** What an entry says of itself that decides about it. */
export interface EntryView {
  readonly annotations: Labels;
  /** True where its status says whether it is well. */
  readonly hasHealth: boolean;
}

/** Makes this replica the one that looks after the entry. */
export function connectAnnotations({ instance, connectedAtMs }: Presence): { readonly [name: string]: string } {
  return { [controllerAnnotation]: instance, [connectedAnnotation]: formatInstant(connectedAtMs) };
}

/**
 * What a connection changes on an entry that is there; undefined where nothing: it says so already, or has a newer
 * connection to another replica, or was left after this connection began.
 */
export function planConnect(annotations: Labels, presence: Presence): AnnotationPatch | undefined {
  const [lastAt, leftAt] = [readTime(annotations, connectedAnnotation), readTime(annotations, disconnectedAnnotation)];
  const { connectedAtMs: atMs } = presence;
  if ((leftAt !== undefined && atMs < leftAt) || (lastAt !== undefined && atMs < lastAt)) return undefined;
  if (lastAt === atMs && isControlledBy(annotations, presence.instance)) return undefined;
  return { ...connectAnnotations(presence), [disconnectedAnnotation]: null };
}

/** What the end of the last connection changes; undefined where the workload is connected anew, here or elsewhere. */
export function planDisconnect(
  annotations: Labels,
  { instance, connectedAtMs }: Presence,
  disconnectedAtMs: number,
): AnnotationPatch | undefined {
  const lastAt = readTime(annotations, connectedAnnotation);
  if (lastAt !== undefined && lastAt > connectedAtMs) return undefined;
  if (!isControlledBy(annotations, instance)) return undefined;
  const leftAt = readTime(annotations, disconnectedAnnotation);
  if (lastAt === undefined && leftAt !== undefined && leftAt >= disconnectedAtMs) return undefined;
  return { [connectedAnnotation]: null, [disconnectedAnnotation]: formatInstant(disconnectedAtMs) };
}

/**
 * What is to become of an entry whose workload may be gone: one that was made is deleted, one that somebody wrote loses
 * what was said of its health, of which nobody can be sure.
 */
export function decideCleanup(entry: EntryView, limits: CleanupLimits): "delete" | "clearHealth" | undefined {
  const { annotations, hasHealth } = entry;
  const isMade = (annotations[groupAnnotation] ?? "") !== "";
  const isLookedAfter = (annotations[controllerAnnotation] ?? "") !== "" && hasHealth;
  if (!isMade && !isLookedAfter) return undefined;
  if (!isAbandoned(annotations, limits)) return undefined;
  return isMade ? "delete" : "clearHealth";
}

export function isControlledBy(annotations: Labels, instance: string): boolean {
  return annotations[controllerAnnotation] === instance;
}

function isAbandoned(annotations: Labels, { nowMs, graceMs, maxAgeMs }: CleanupLimits): boolean {
  if ((annotations[connectedAnnotation] ?? "") !== "") {
    const connectedAt = readTime(annotations, connectedAnnotation);
    return connectedAt !== undefined && nowMs - connectedAt > maxAgeMs;
  }
  if ((annotations[disconnectedAnnotation] ?? "") === "") return false;
  const leftAt = readTime(annotations, disconnectedAnnotation);
  return leftAt === undefined || nowMs - leftAt >= graceMs;
}

/** Milliseconds since the epoch; undefined where there is no time that can be read. istiod writes nanoseconds. */
function readTime(annotations: Labels, name: string): number | undefined {
  return parseInstant(annotations[name] ?? "");
}
