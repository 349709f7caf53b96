import type { ObjectRef } from "../lib/message.ts";

/**
 * A generated resource. The message is a plain wire object (snake_case, enum names as text). Where nothing changed a
 * generator returns the same message object again, so that it is not encoded twice.
 */
export interface Built<Wire> {
  readonly name: string;
  readonly message: Wire;
  /** Objects that made it; empty for what is always there (BlackHoleCluster and the like). */
  readonly sources: readonly ObjectRef[];
}

/** Provenance of one part of a resource: the object and the path in it, such as "spec.http[2]". */
export interface PartSource {
  readonly object: ObjectRef;
  readonly path: string;
}

// A side table, so that the wire objects stay exactly what is encoded. Entries die with their part.
const partSources = new WeakMap<object, readonly PartSource[]>();

/** Notes what made a part of a resource (a filter chain, virtual host, route); returns the part. */
export function withSources<Part extends object>(part: Part, sources: readonly PartSource[]): Part {
  partSources.set(part, sources);
  return part;
}

/** What made a part, as noted by withSources; empty where nothing was noted. */
export function sourcesOf(part: object): readonly PartSource[] {
  return partSources.get(part) ?? [];
}
