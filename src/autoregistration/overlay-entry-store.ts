/** Workload entries of a mesh that is read from files: what is made and marked lies over them, and goes with the process. */
import { parseObject } from "../api/parse.ts";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import { type Clock, formatInstant } from "../lib/clock.ts";
import { formatMessage } from "../lib/message.ts";
import type { OverlaidSource } from "../sources/overlay.ts";
import type { EntryDraft } from "./build-entry.ts";
import type { EntryStore, StoredEntry } from "./entry-store.ts";

/** Only this process writes: what was read is what is there. */
export function createOverlayEntryStore(source: OverlaidSource, clock: Clock): EntryStore {
  const healthTimes = new Map<string, number>();
  const overlayOf = ({ namespace, name }: StoredEntry) => source.overlayOf(namespace, name) ?? { annotations: {} };
  return {
    ownsEntries: true,
    async read(namespace, name) {
      const entry = source.find(namespace, name);
      if (entry === undefined) return undefined;
      const { annotations } = entry.meta;
      const at = healthTimes.get(keyOf({ namespace, name }));
      const healthAtMs = entry.status === undefined ? undefined : (at ?? 0);
      return { namespace, name, annotations, serviceAccount: entry.spec.serviceAccount ?? "", healthAtMs };
    },
    async create(draft) {
      const { namespace, name, annotations } = draft.metadata;
      if (source.find(namespace, name) !== undefined) throw new Error(`${namespace}/${name} is there already`);
      source.lay(namespace, name, { made: parseDraft(draft, clock), annotations });
    },
    async annotate(entry, patch) {
      const overlay = overlayOf(entry);
      const kept = Object.entries(overlay.annotations).filter(([name]) => !Object.hasOwn(patch, name));
      const added = Object.entries(patch).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
      const annotations = Object.fromEntries([...kept, ...added]);
      source.lay(entry.namespace, entry.name, { ...overlay, annotations });
    },
    async setHealth(entry, report) {
      const { status: _, ...overlay } = overlayOf(entry);
      if (report === undefined) healthTimes.delete(keyOf(entry));
      else healthTimes.set(keyOf(entry), report.atMs);
      const status = report && { isHealthy: report.isHealthy };
      source.lay(entry.namespace, entry.name, { ...overlay, ...(status === undefined ? {} : { status }) });
    },
    async delete(entry) {
      healthTimes.delete(keyOf(entry));
      source.lay(entry.namespace, entry.name, undefined);
    },
  };
}

/** Throws where the entry is not valid: what proxies say of themselves is in it. */
function parseDraft(draft: EntryDraft, clock: Clock): WorkloadEntry {
  const creationTimestamp = formatInstant(clock.now());
  const { object, messages } = parseObject({ ...draft, metadata: { ...draft.metadata, creationTimestamp } });
  // Its annotations are in what is laid over it, which may take them away again.
  if (object?.kind === "WorkloadEntry") return { ...object, meta: { ...object.meta, annotations: {} } };
  throw new Error(messages.map(formatMessage).join("; "));
}

const keyOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string =>
  `${namespace}/${name}`;
