/** What may go to a client beside clusters that it cannot use yet, or is to lose. */
import { lengthDelimited } from "@meltemi/protos";
import { memoPair } from "../push/pair-table.ts";
import {
  buildPart,
  buildSet,
  diffSets,
  findInSet,
  listSet,
  type ResourceSet,
  type Versioned,
} from "../push/resource-set.ts";
import { isEncoded } from "../push/response-encoder.ts";
import { basisOf, type Delivery } from "./delivery.ts";
import { readAssignmentName } from "./warming.ts";

/** What a client is to have of clusters, and what it has said of them and of their endpoints. */
export interface ClusterProgress {
  readonly target: ResourceSet;
  readonly clusters: Delivery;
  /** undefined: the client does not ask for endpoints on this stream. */
  readonly endpoints: Delivery | undefined;
  /** What the client said when it last refused clusters. */
  readonly refusal: string;
}

/** Clusters that the client is to have and cannot use yet. */
export interface UnreadyClusters {
  /** They stay so until something else is sent. */
  readonly refused: readonly string[];
  readonly awaited: readonly string[];
}

/** Names in `after` that `before` does not have. */
export const listNewNames = memoPair((before: ResourceSet, after: ResourceSet): readonly string[] =>
  diffSets(before, after).changed.filter((name) => findInSet(before, name) === undefined),
);

/**
 * Which of the clusters `names` the client has not taken, or waits for the endpoints of. A cluster that only changed is
 * no matter: until its new form is ready the client uses the old one.
 */
export function listUnready(names: readonly string[], progress: ClusterProgress): UnreadyClusters {
  const { target, clusters, endpoints } = progress;
  const refused = listRefused(names, progress);
  const taken = takenOf(clusters);
  const warm = endpoints && takenOf(endpoints);
  const isReady = (name: string): boolean => {
    const isTaken = clusters.kind === "rejected" ? !refused.includes(name) : findInSet(taken, name) !== undefined;
    if (!isTaken || warm === undefined) return isTaken;
    const cluster = findInSet(target, name);
    const assignment = cluster && isEncoded(cluster) ? readAssignmentName(cluster.built) : undefined;
    return assignment === undefined || findInSet(warm, assignment) !== undefined;
  };
  return { refused, awaited: names.filter((name) => !refused.includes(name) && !isReady(name)) };
}

// Envoy takes the good clusters of a response that it refuses, and names the bad ones in its answer.
function listRefused(names: readonly string[], { clusters, refusal }: ClusterProgress): readonly string[] {
  if (clusters.kind !== "rejected") return [];
  const fresh = names.filter((name) => findInSet(clusters.base, name) === undefined);
  const named = fresh.filter((name) => refusal.includes(name));
  return named.length > 0 ? named : fresh;
}

function takenOf(delivery: Delivery): ResourceSet {
  return delivery.kind === "waiting" ? delivery.base : basisOf(delivery);
}

/** What a client has, what it is to have, and whether it can wait for resources that it has no earlier form of. */
export interface Withholding {
  readonly held: ResourceSet;
  readonly target: ResourceSet;
  readonly mayOmit: boolean;
}

/**
 * `target` with the resources that name one of `clusters` left as the client has them, or left out where it has none and
 * can wait. The same set where nothing is held back.
 */
export function withhold({ held, target, mayOmit }: Withholding, clusters: readonly string[]): ResourceSet {
  const back = new Set(
    diffSets(held, target).changed.filter(
      (name) => (mayOmit || findInSet(held, name) !== undefined) && namesOneOf(findInSet(target, name), clusters),
    ),
  );
  if (back.size === 0) return target;
  return keepNames(held, target, back);
}

/** `target` with the resources of these names as `held` has them, or without those that it does not have. */
export function keepNames(held: ResourceSet, target: ResourceSet, names: Iterable<string>): ResourceSet {
  const kept = new Set(
    [...names].filter((name) => findInSet(held, name)?.version !== findInSet(target, name)?.version),
  );
  if (kept.size === 0) return target;
  const sent = [...listSet(target)].filter(({ name }) => !kept.has(name));
  return buildSet([buildPart([...sent, ...[...kept].flatMap((name) => findInSet(held, name) ?? [])])]);
}

// Whatever field it stands in, a name is a string of its own on the wire: its length goes before it. A name found where
// it means something else holds a resource back for a moment, and no more.
function namesOneOf(resource: Versioned | undefined, clusters: readonly string[]): boolean {
  if (resource === undefined || !isEncoded(resource)) return false;
  const { buffer, byteOffset, byteLength } = resource.bytes;
  const text = Buffer.from(buffer, byteOffset, byteLength);
  // The first byte is the tag, whose field number does not matter.
  return clusters.some((name) => text.includes(Buffer.from(lengthDelimited(1, Buffer.from(name)).subarray(1))));
}
