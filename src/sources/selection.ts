/**
 * Passes on only what this control plane looks at: objects of the namespaces that the mesh's discovery selectors select,
 * and Istio's objects of its own revision (Istio: pkg/kube/namespace/filter.go and pilot/pkg/config/kube/crdclient).
 * In goes a source with everything, out comes one that keeps the same laws for what is selected.
 */
import { isDeepStrictEqual } from "node:util";
import type { MeshObject } from "../api/kinds.ts";
import type { ConfigMap, Namespace } from "../api/kubernetes/types.ts";
import { type LabelSelector, matchesSelector } from "../api/label-selector.ts";
import { layerMeshConfigs } from "../api/mesh-config/layers.ts";
import { refOf } from "../api/object.ts";
import { type Message, type ObjectRef, objectKey } from "../lib/message.ts";
import type { ChangeSet, ObjectChange, Source, SourceSink } from "./source.ts";

const revisionLabel = "istio.io/rev";

export interface SelectionOptions {
  /** Namespace of the mesh configuration; "istio-system" where not given. */
  readonly systemNamespace?: string;
  /** ConfigMap with the mesh configuration; "istio" where not given. */
  readonly meshConfigName?: string;
  /** ConfigMap whose mesh configuration lies below that one. */
  readonly sharedMeshConfigName?: string;
  /** Revision of this control plane; objects of every revision pass where it is not given. */
  readonly revision?: string;
  /** Other names of the revision. */
  readonly revisionTags?: ReadonlySet<string>;
}

export interface SelectedSource extends Source {
  /** Gives the revision other names than before; what they select and deselect goes out as one change set. */
  setRevisionTags(tags: ReadonlySet<string>): void;
}

/**
 * Wraps a source. Objects of the whole cluster (Namespace, Node) and the ConfigMaps of the system namespace always pass:
 * what is selected depends on them. A change of the selectors or of a namespace's labels costs time for the namespaces
 * whose selection changes, everything else only for what changed.
 */
export function createSelectedSource(inner: Source, options: SelectionOptions = {}): SelectedSource {
  let selection: Selection | undefined;
  let tags = options.revisionTags ?? new Set<string>();
  return {
    name: inner.name,
    async start(sink) {
      const started = new Selection(sink, options, tags);
      selection = started;
      await inner.start(started);
    },
    async stop() {
      selection?.close();
      selection = undefined;
      await inner.stop();
    },
    setRevisionTags(next) {
      tags = next;
      selection?.setTags(next);
    },
  };
}

type NamespaceContent = Map<string, MeshObject>;

class Selection implements SourceSink {
  readonly #options: SelectionOptions;
  #sink: SourceSink | undefined;
  #tags: ReadonlySet<string>;
  /** Everything that the inner source has, by namespace and key. */
  readonly #content = new Map<string, NamespaceContent>();
  /** Keys of the objects that the sink has. */
  readonly #passed = new Set<string>();
  /** Undefined where every namespace is selected, also those that nobody described. */
  #selectors: readonly LabelSelector[] | undefined;
  #selected: ReadonlySet<string> = new Set();
  #innerProblems: readonly Message[] = [];
  #problems: readonly Message[] = [];
  #isFirst = true;

  constructor(sink: SourceSink, options: SelectionOptions, tags: ReadonlySet<string>) {
    this.#sink = sink;
    this.#options = options;
    this.#tags = tags;
  }

  close(): void {
    this.#sink = undefined;
  }

  apply(changeSet: ChangeSet): void {
    for (const change of changeSet.changes) this.#store(change);
    this.#innerProblems = changeSet.problems;
    const refs = changeSet.changes.map((change) => (change.type === "set" ? refOf(change.object) : change.ref));
    const toggled = this.#updateNamespaces(refs);
    const changes = [
      ...changeSet.changes.flatMap((change) => this.#select(change)),
      ...toggled.flatMap((namespace) => this.#reselect(this.#content.get(namespace))),
    ];
    this.#publish(changes);
  }

  setTags(tags: ReadonlySet<string>): void {
    this.#tags = tags;
    if (!this.#isFirst) this.#publish([...this.#content.values()].flatMap((content) => this.#reselect(content)));
  }

  #store(change: ObjectChange): void {
    const ref = change.type === "set" ? refOf(change.object) : change.ref;
    const content = this.#content.get(ref.namespace) ?? new Map<string, MeshObject>();
    if (change.type === "set") content.set(objectKey(ref), change.object);
    else content.delete(objectKey(ref));
    if (content.size === 0) this.#content.delete(ref.namespace);
    else this.#content.set(ref.namespace, content);
  }

  /** Reads selectors and labels anew where they changed; the namespaces whose selection is another one now. */
  #updateNamespaces(refs: readonly ObjectRef[]): readonly string[] {
    const before = { selectors: this.#selectors, selected: this.#selected };
    if (refs.some((ref) => this.#isMeshConfig(ref))) this.#updateSelectors();
    const hasOtherSelectors = this.#selectors !== before.selectors;
    const described = hasOtherSelectors ? this.#listNamespaces() : this.#listNamespaces(refs);
    const gone = refs.filter((ref) => ref.kind === "Namespace").map((ref) => ref.name);
    if (!hasOtherSelectors && gone.length === 0) return [];
    const selected = new Set(hasOtherSelectors ? [] : before.selected);
    for (const name of gone) selected.delete(name);
    for (const { meta } of described) {
      if (this.#selectors?.some((selector) => matchesSelector(selector, meta.labels))) selected.add(meta.name);
    }
    this.#selected = selected;
    const names = hasOtherSelectors ? this.#content.keys() : gone;
    const wasSelected = (name: string) => before.selectors === undefined || before.selected.has(name);
    return [...names].filter((name) => wasSelected(name) !== this.#isSelected(name));
  }

  /** A configuration with errors leaves the selectors as they were. */
  #updateSelectors(): void {
    const { systemNamespace = "istio-system", meshConfigName = "istio", sharedMeshConfigName } = this.#options;
    const find = (name: string | undefined): ConfigMap | undefined => {
      const key = objectKey({ kind: "ConfigMap", namespace: systemNamespace, name: name ?? "" });
      return this.#content.get(systemNamespace)?.get(key) as ConfigMap | undefined;
    };
    const { mesh, hasErrors } = layerMeshConfigs({ shared: find(sharedMeshConfigName), own: find(meshConfigName) });
    if (hasErrors) return;
    const selectors = (mesh.discoverySelectors ?? []).length === 0 ? undefined : mesh.discoverySelectors;
    if (!isDeepStrictEqual(selectors, this.#selectors)) this.#selectors = selectors;
  }

  #isMeshConfig(ref: ObjectRef): boolean {
    const { systemNamespace = "istio-system", meshConfigName = "istio", sharedMeshConfigName } = this.#options;
    const isNamed = ref.name === meshConfigName || ref.name === sharedMeshConfigName;
    return ref.kind === "ConfigMap" && ref.namespace === systemNamespace && isNamed;
  }

  /** The Namespace objects that are there, all or those that are named. */
  #listNamespaces(refs?: readonly ObjectRef[]): readonly Namespace[] {
    const content = this.#content.get("");
    const objects = refs === undefined ? content?.values() : refs.map((ref) => content?.get(objectKey(ref)));
    return [...(objects ?? [])].filter((object) => object?.kind === "Namespace");
  }

  #isSelected(namespace: string): boolean {
    return namespace === "" || this.#selectors === undefined || this.#selected.has(namespace);
  }

  #passes(object: MeshObject): boolean {
    const { systemNamespace = "istio-system" } = this.#options;
    const isOwnConfig = object.kind === "ConfigMap" && object.meta.namespace === systemNamespace;
    return (isOwnConfig || this.#isSelected(object.meta.namespace)) && this.#isOfRevision(object);
  }

  #isOfRevision({ apiVersion, meta }: MeshObject): boolean {
    const { revision = "" } = this.#options;
    const wanted = meta.labels[revisionLabel] ?? "";
    if (revision === "" || wanted === "" || !apiVersion.split("/")[0]?.endsWith(".istio.io")) return true;
    return wanted === revision || this.#tags.has(wanted);
  }

  /** What the sink has to hear of a change of the inner source. */
  #select(change: ObjectChange): readonly ObjectChange[] {
    if (change.type === "deleted") return this.#withdraw(change.ref);
    if (!this.#passes(change.object)) return this.#withdraw(refOf(change.object));
    this.#passed.add(objectKey(refOf(change.object)));
    return [change];
  }

  /** What changes for objects that are as they were. */
  #reselect(content: NamespaceContent | undefined): readonly ObjectChange[] {
    return [...(content ?? [])].flatMap(([key, object]): readonly ObjectChange[] => {
      if (!this.#passes(object)) return this.#withdraw(refOf(object));
      if (this.#passed.has(key)) return [];
      this.#passed.add(key);
      return [{ type: "set", object }];
    });
  }

  #withdraw(ref: ObjectRef): readonly ObjectChange[] {
    return this.#passed.delete(objectKey(ref)) ? [{ type: "deleted", ref }] : [];
  }

  #publish(changes: readonly ObjectChange[]): void {
    const problems = this.#innerProblems.filter((message) => this.#concernsUs(message));
    const saysNew = !isDeepStrictEqual(problems, this.#problems);
    this.#problems = problems;
    if (this.#isFirst || saysNew || changes.length > 0) this.#sink?.apply({ changes, problems });
    this.#isFirst = false;
  }

  /** A bad object counts by its last good form; of one that never was good only the namespace is known. */
  #concernsUs({ object: ref }: Message): boolean {
    const known = this.#content.get(ref.namespace)?.get(objectKey(ref));
    if (known !== undefined) return this.#passes(known);
    const { systemNamespace = "istio-system" } = this.#options;
    return this.#isSelected(ref.namespace) || (ref.kind === "ConfigMap" && ref.namespace === systemNamespace);
  }
}
