import type { MeshObject } from "../api/kinds.ts";
import type { Message, ObjectRef } from "../lib/message.ts";

/** One thing that happened to an object. Objects arrive parsed and validated: a source never hands over a bad one. */
export type ObjectChange =
  | { readonly type: "set"; readonly object: MeshObject }
  | { readonly type: "deleted"; readonly ref: ObjectRef };

/** What happened at once: applied to the mesh as one step, so that half a commit is never seen. */
export interface ChangeSet {
  readonly changes: readonly ObjectChange[];
  /**
   * All problems that the source knows of at this moment (not only new ones): bad objects, unreadable files. An object
   * with an error keeps its last good form in the mesh.
   */
  readonly problems: readonly Message[];
}

export interface SourceSink {
  /** Called in order, one call after the other. The first call holds everything that was there at the start. */
  apply(changeSet: ChangeSet): void;
}

/**
 * Where objects come from. Laws (test/laws): the first change set is the whole content; later ones make a reader that
 * applies them in order equal to the content; no change, no call; an object that turns bad is reported and stays as it
 * was; one that is deleted is gone after one call; after stop() nothing is called any more.
 */
export interface Source {
  /** Name for logs and messages, such as "file manifests/". */
  readonly name: string;
  /** Resolves when the first change set was applied; rejects only where the source cannot exist at all. */
  start(sink: SourceSink): Promise<void>;
  /** Ends watching and frees every timer and handle. */
  stop(): Promise<void>;
}
