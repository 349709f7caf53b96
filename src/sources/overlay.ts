/** Workload entries that the control plane makes or marks itself, laid over those of a source that nobody may write to. */
import { isDeepStrictEqual } from "node:util";
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import { type Message, objectKey } from "../lib/message.ts";
import type { ObjectChange, Source, SourceSink } from "./source.ts";

/** What lies over one entry: the whole of it where the source has none, and what is to be said of it in any case. */
export interface EntryOverlay {
  /** The entry where the source has none of its name. */
  readonly made?: WorkloadEntry;
  /** They win over those of the source. */
  readonly annotations: { readonly [name: string]: string };
  readonly status?: WorkloadEntry["status"];
}

export interface OverlaidSource extends Source {
  /** The entry as it goes out. */
  find(namespace: string, name: string): WorkloadEntry | undefined;
  overlayOf(namespace: string, name: string): EntryOverlay | undefined;
  /** Lays something over an entry, or takes it away. */
  lay(namespace: string, name: string, overlay: EntryOverlay | undefined): void;
}

/** Wraps a source; before start() and after stop() what is laid over goes nowhere. */
export function createOverlaidSource(inner: Source): OverlaidSource {
  return new Overlaid(inner);
}

class Overlaid implements OverlaidSource {
  readonly name: string;
  readonly #inner: Source;
  readonly #entries = new Map<string, WorkloadEntry>();
  readonly #overlays = new Map<string, EntryOverlay>();
  #sink: SourceSink | undefined;
  #problems: readonly Message[] = [];
  #isFirst = true;

  constructor(inner: Source) {
    this.#inner = inner;
    this.name = inner.name;
  }

  async start(sink: SourceSink): Promise<void> {
    this.#sink = sink;
    await this.#inner.start({
      apply: ({ changes, problems }) => {
        this.#problems = problems;
        const taken = changes.map((change) => this.#take(change));
        const made = this.#isFirst ? this.#listMade() : [];
        this.#isFirst = false;
        this.#sink?.apply({ changes: [...taken, ...made], problems });
      },
    });
  }

  async stop(): Promise<void> {
    this.#sink = undefined;
    await this.#inner.stop();
  }

  find(namespace: string, name: string): WorkloadEntry | undefined {
    return this.#merge(keyOf(namespace, name));
  }

  overlayOf(namespace: string, name: string): EntryOverlay | undefined {
    return this.#overlays.get(keyOf(namespace, name));
  }

  lay(namespace: string, name: string, overlay: EntryOverlay | undefined): void {
    const key = keyOf(namespace, name);
    const before = this.#merge(key);
    if (overlay === undefined) this.#overlays.delete(key);
    else this.#overlays.set(key, overlay);
    const after = this.#merge(key);
    if (this.#isFirst || before === after || isDeepStrictEqual(before, after)) return;
    const ref = { kind: "WorkloadEntry", namespace, name };
    const change: ObjectChange = after === undefined ? { type: "deleted", ref } : { type: "set", object: after };
    this.#sink?.apply({ changes: [change], problems: this.#problems });
  }

  /** A change of the source as it looks with what lies over it. */
  #take(change: ObjectChange): ObjectChange {
    const ref = change.type === "set" ? refOf(change.object) : change.ref;
    if (ref.kind !== "WorkloadEntry") return change;
    const key = objectKey(ref);
    if (change.type === "set" && isEntry(change.object)) this.#entries.set(key, change.object);
    else this.#entries.delete(key);
    const object = this.#merge(key);
    return object === undefined ? { type: "deleted", ref } : { type: "set", object };
  }

  /** Entries that the source does not have. */
  #listMade(): readonly ObjectChange[] {
    return [...this.#overlays.keys()].flatMap((key): readonly ObjectChange[] => {
      const object = this.#entries.has(key) ? undefined : this.#merge(key);
      return object === undefined ? [] : [{ type: "set", object }];
    });
  }

  #merge(key: string): WorkloadEntry | undefined {
    const overlay = this.#overlays.get(key);
    const written = this.#entries.get(key);
    if (overlay === undefined) return written;
    const entry = written ?? overlay.made;
    if (entry === undefined) return undefined;
    const { annotations, status } = overlay;
    return {
      ...entry,
      meta: { ...entry.meta, annotations: { ...entry.meta.annotations, ...annotations } },
      ...(status === undefined ? {} : { status }),
    };
  }
}

const isEntry = (object: MeshObject): object is WorkloadEntry => object.kind === "WorkloadEntry";
const keyOf = (namespace: string, name: string): string => objectKey({ kind: "WorkloadEntry", namespace, name });
