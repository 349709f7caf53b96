/** Where workload entries are kept while proxies come and go: in the cluster, or beside the objects of files. */
import type { Labels } from "../api/object.ts";
import type { HealthReport } from "../model/proxy-connections.ts";
import type { EntryDraft } from "./build-entry.ts";
import type { AnnotationPatch } from "./entry-state.ts";

/** An entry as it is stored. */
export interface StoredEntry {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Labels;
  /** "" where the entry names none. */
  readonly serviceAccount: string;
  /** When it was last said whether it is well, in milliseconds since the epoch; undefined where nothing is said. */
  readonly healthAtMs: number | undefined;
}

/**
 * Every change is refused (the promise rejects) where the entry is not any more as it was read. Any of these may reject
 * where the store cannot be reached.
 */
export interface EntryStore<Entry extends StoredEntry = StoredEntry> {
  /** True where nobody else deletes entries whose group is gone. */
  readonly ownsEntries: boolean;
  read(namespace: string, name: string): Promise<Entry | undefined>;
  /** Rejects where it is there already, and where it is not valid. */
  create(draft: EntryDraft): Promise<void>;
  annotate(entry: Entry, patch: AnnotationPatch): Promise<void>;
  /** Writes whether it is well, or takes away that anything is said of it. */
  setHealth(entry: Entry, report: HealthReport | undefined): Promise<void>;
  delete(entry: Entry): Promise<void>;
}
