/**
 * Adds up on how many proxies objects are live when several replicas serve them: each counts its own proxies, and says
 * which form of an object its counts are about. Pure.
 */
import { istioResources } from "../api/resource-names.ts";
import { findOwn } from "../lib/find-own.ts";
import { objectKey } from "../lib/message.ts";
import type { StatusDistribution } from "./istio-status.ts";
import type { MeshView, StatusObject } from "./status-writer.ts";

/** What one replica says of one object. */
export interface ReplicaCount extends StatusDistribution {
  /** The beginning of the object's uid, which tells it from an earlier one of that name; "" where it has none. */
  readonly uid: string;
  /** `metadata.generation` of the form that is counted; 0 where the object has none. */
  readonly generation: number;
}

export interface ReplicaReport {
  /** True where it does not speak of all that the replica knows. */
  readonly isPartial: boolean;
  /** By objectKey: every object that the replica has in its mesh, used or not. */
  readonly counts: ReadonlyMap<string, ReplicaCount>;
}

/** So much of a uid tells two objects of the same name apart, and packs into few bytes. */
const uidLength = 8;
const unused: StatusDistribution = { using: 0, live: 0, refused: 0, refusal: "" };

/** What this replica has to say. Objects that no proxy uses are in it too: so a reader knows that they were seen. */
export function buildReport({ objects, distribution }: Pick<MeshView, "objects" | "distribution">): ReplicaReport {
  const counts = new Map<string, ReplicaCount>();
  for (const object of objects) {
    if (findOwn(istioResources, object.kind) === undefined) continue;
    const key = keyOf(object);
    const { using, live, refused, refusal } = distribution.get(key) ?? unused;
    counts.set(key, { ...formOf(object), using, live, refused, refusal });
  }
  return { isPartial: false, counts };
}

/** The distribution of a mesh with what other replicas report of it added. */
export function sumDistributions(
  { objects, distribution }: Pick<MeshView, "objects" | "distribution">,
  reports: readonly ReplicaReport[],
): ReadonlyMap<string, StatusDistribution> {
  if (reports.length === 0) return distribution;
  const sums = new Map<string, StatusDistribution>(distribution);
  for (const object of objects) {
    if (findOwn(istioResources, object.kind) === undefined) continue;
    const key = keyOf(object);
    sums.set(
      key,
      reports.reduce((sum, report) => addReport(sum, object, report), distribution.get(key) ?? unused),
    );
  }
  return sums;
}

function addReport(sum: StatusDistribution, object: StatusObject, { isPartial, counts }: ReplicaReport) {
  const count = counts.get(keyOf(object));
  if (count === undefined) return { ...sum, ...(isPartial ? { isAtLeast: true } : { isAwaited: true }) };
  const { uid, generation } = formOf(object);
  // Whoever has a later form has left this one behind as well; what was said of an earlier one does not hold for this.
  const isLive = count.uid === uid && count.generation >= generation;
  const isSame = count.uid === uid && count.generation === generation;
  // A replica that has not taken this form in and has no proxy with an earlier one may yet find proxies that use it.
  const isAwaited = !isLive && count.using === 0;
  return {
    ...sum,
    using: sum.using + count.using,
    live: sum.live + (isLive ? count.live : 0),
    refused: sum.refused + (isSame ? count.refused : 0),
    refusal: sum.refusal || (isSame ? count.refusal : ""),
    ...(isAwaited ? { isAwaited } : {}),
  };
}

function keyOf({ kind, meta: { namespace, name } }: StatusObject): string {
  return objectKey({ kind, namespace, name });
}

function formOf({ meta }: StatusObject): Pick<ReplicaCount, "uid" | "generation"> {
  return { uid: (meta.uid ?? "").slice(0, uidLength), generation: meta.generation ?? 0 };
}
