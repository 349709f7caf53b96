/** Which load assignments a client waits for after a response with clusters. */

import { diffSets, findInSet, type ResourceSet } from "../push/resource-set.ts";
import { isEncoded } from "../push/response-encoder.ts";
import type { Built } from "../translate/built.ts";

/**
 * Names of the load assignments of clusters that `after` changes: an updated cluster warms until its endpoints come
 * again, also where they are the same (xds_protocol, "eventual consistency considerations"). New clusters are left out:
 * the client asks for theirs.
 */
export function listWarmingAssignments(before: ResourceSet, after: ResourceSet): readonly string[] {
  const { changed } = diffSets(before, after);
  let names = warming.get(changed);
  if (names === undefined) {
    names = changed.flatMap((name) => {
      const cluster = findInSet(after, name);
      if (cluster === undefined || !isEncoded(cluster) || findInSet(before, name) === undefined) return [];
      return readAssignmentName(cluster.built) ?? [];
    });
    warming.set(changed, names);
  }
  return names;
}

const warming = new WeakMap<readonly string[], readonly string[]>();

/** The load assignment that a cluster asks for; undefined where it takes its endpoints from elsewhere. */
export function readAssignmentName({ name, message }: Built<object>): string | undefined {
  const { type, eds_cluster_config: config } = message as {
    readonly type?: string;
    readonly eds_cluster_config?: { readonly service_name?: string };
  };
  if (type !== "EDS") return undefined;
  return config?.service_name || name;
}
