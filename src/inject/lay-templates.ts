/** Lays templates over a pod, one after the other, under what the pod's own containers say. */
import type { Findings } from "../api/findings.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { annotation, container } from "./annotation-names.ts";
import { renderCustomTemplate } from "./custom-template.ts";
import type { InjectionConfig } from "./injection-config.ts";
import type { InjectionRecord, Overrides } from "./injection-record.ts";
import { closePod, openPod, type PodDraft } from "./pod-draft.ts";
import { field, findNamed, isObject, listField, nameOf, objectField, withFields } from "./pod-fields.ts";
import { mergeOverlay, withoutRivals, withoutSaid } from "./strategic-merge.ts";
import { builtInTemplates } from "./templates/built-in.ts";
import type { TemplateData } from "./templates/template-data.ts";

export interface LayingTask {
  readonly data: TemplateData;
  readonly config: InjectionConfig;
  readonly record: InjectionRecord;
  readonly findings: Findings;
}

export interface LaidPod {
  readonly draft: PodDraft;
  /** All templates laid over nothing: what was put in. */
  readonly templateSpec: PlainObject;
  readonly overrides: Overrides;
}

const containerLists = ["containers", "initContainers"] as const;

/** Undefined where a template cannot be had, which is reported. */
export function layTemplates(draft: PodDraft, task: LayingTask): LaidPod | undefined {
  const overlays = renderTemplates(task);
  if (overlays === undefined) return undefined;
  let whole: PlainObject = {};
  for (const overlay of overlays) whole = mergeOverlay(whole, overlay);
  const templateSpec = objectField(whole, "spec");
  const placed = placeContainers(draft, templateSpec, task.record);
  const overrides = findOverrides(placed, templateSpec, task.record);
  let pod = closePod(placed);
  const spec = objectField(pod, "spec");
  for (const overlay of overlays) pod = mergeOverlay(pod, yieldToPod(overlay, spec, overrides));
  if (task.record.injected !== undefined) pod = keepVariableOrder(pod, placed, task.record.injected);
  return { draft: openPod(pod), templateSpec, overrides };
}

/** What was put in before has its variables in their order already: some were moved when that was finished. */
function keepVariableOrder(pod: PlainObject, before: PodDraft, injected: ReadonlySet<string>): PlainObject {
  return changeContainers(pod, (item) => {
    const known = findNamed([...before.containers, ...before.initContainers], nameOf(item));
    if (known === undefined || !injected.has(nameOf(item)) || !Array.isArray(field(item, "env"))) return item;
    const env = listField(item, "env");
    const kept = listField(known, "env").flatMap((entry) => findNamed(env, nameOf(entry)) ?? []);
    return { ...item, env: [...kept, ...env.filter((entry) => !kept.includes(entry))] };
  });
}

function renderTemplates({ data, config, findings }: LayingTask): readonly PlainObject[] | undefined {
  const asked = data.annotations[annotation.templates];
  const names = asked === undefined ? config.defaultTemplates : asked.split(",").map((name) => name.trim());
  const overlays: PlainObject[] = [];
  // Aliases stand for templates, not for other aliases.
  for (const name of names.flatMap((given) => config.aliases.get(given) ?? [given])) {
    const overlay = renderTemplate(name, data, config);
    if (isObject(overlay)) overlays.push(normalizeVariables(overlay));
    else {
      const path = ["metadata", "annotations", annotation.templates];
      findings.error(path, explainMissing(name, config), "template");
    }
  }
  return findings.all.some(({ level }) => level === "error") ? undefined : overlays;
}

function renderTemplate(name: string, data: TemplateData, { templates }: InjectionConfig): PlainValue | undefined {
  const custom = templates.get(name);
  if (custom === undefined) return builtInTemplates.get(name)?.(data);
  return custom.kind === "overlay" ? renderCustomTemplate(custom.overlay, data) : undefined;
}

function explainMissing(name: string, { templates, aliases }: InjectionConfig): string {
  const quoted = JSON.stringify(name.slice(0, 80));
  if (templates.has(name)) {
    return `template ${quoted} is a Go template, which is not executed; write it as a plain YAML overlay in the injector's ConfigMap`;
  }
  const known = [...new Set([...builtInTemplates.keys(), ...templates.keys(), ...aliases.keys()])].sort();
  return `template ${quoted} is not known; there are ${known.join(", ")}`;
}

/** Of variables that are given twice the last counts, as it would in the container. */
function normalizeVariables(overlay: PlainObject): PlainObject {
  const once = (item: PlainObject): PlainObject => {
    const env = listField(item, "env");
    const last = new Map(env.map((entry, index) => [nameOf(entry), index]));
    return last.size === env.length
      ? item
      : { ...item, env: env.filter((entry, index) => last.get(nameOf(entry)) === index) };
  };
  return changeContainers(overlay, once);
}

function changeContainers(pod: PlainObject, change: (item: PlainObject) => PlainObject): PlainObject {
  const spec = objectField(pod, "spec");
  const lists = containerLists.filter((name) => Array.isArray(field(spec, name)));
  const changed = Object.fromEntries(lists.map((name) => [name, listField(spec, name).map(change)]));
  return lists.length === 0 ? pod : { ...pod, spec: { ...spec, ...changed } };
}

/**
 * Brings containers of the pod into the list in which the template has them: a proxy may be an init container now and
 * none before, or the reverse. A redirection of an earlier injection that this one has not goes.
 */
function placeContainers(
  draft: PodDraft,
  templateSpec: PlainObject,
  { injected, overrides }: InjectionRecord,
): PodDraft {
  const [containers, initContainers] = containerLists.map((name) => listField(templateSpec, name));
  const isIn = (list: readonly PlainObject[] | undefined, item: PlainObject) =>
    findNamed(list ?? [], nameOf(item)) !== undefined;
  const moveIn = (item: PlainObject) => isIn(initContainers, item) && !isIn(containers, item);
  const moveOut = (item: PlainObject) => nameOf(item) === container.proxy && isIn(containers, item);
  const isStale = (item: PlainObject) =>
    (nameOf(item) === container.init || nameOf(item) === container.validation) &&
    injected?.has(nameOf(item)) === true &&
    !overrides.has(nameOf(item)) &&
    !isIn(initContainers, item);
  return {
    ...draft,
    containers: [
      ...draft.containers.filter((item) => !moveIn(item)),
      ...draft.initContainers.filter(moveOut).map((item) => withFields(item, { restartPolicy: undefined })),
    ],
    initContainers: [
      ...draft.initContainers.filter((item) => !moveOut(item) && !isStale(item)),
      ...draft.containers.filter(moveIn),
    ],
  };
}

/** What the pod's own containers say where a template makes them, too; as it was at the first injection. */
function findOverrides(
  draft: PodDraft,
  templateSpec: PlainObject,
  { injected, overrides }: InjectionRecord,
): Overrides {
  const own = containerLists.flatMap((list) =>
    listField(templateSpec, list).flatMap((item): [string, PlainObject][] => {
      const name = nameOf(item);
      const recorded = overrides.get(name);
      if (recorded !== undefined) return [[name, recorded]];
      const existing = injected?.has(name) === true ? undefined : findNamed(draft[list], name);
      return existing === undefined ? [] : [[name, withoutAutoImage(existing)]];
    }),
  );
  return new Map(own);
}

/** The image "auto" asks for the template's, because Kubernetes wants every container to name one. */
const withoutAutoImage = (item: PlainObject): PlainObject =>
  field(item, "image") === "auto" ? withFields(item, { image: undefined }) : item;

/** A template without what the pod has said itself: settings of its own containers, and sources of its own volumes. */
function yieldToPod(overlay: PlainObject, podSpec: PlainObject, overrides: Overrides): PlainObject {
  const yielded = changeContainers(overlay, (item) => {
    const own = overrides.get(nameOf(item));
    return own === undefined ? item : withoutSaid(item, own, "containers");
  });
  const spec = objectField(yielded, "spec");
  if (!Array.isArray(field(spec, "volumes"))) return yielded;
  const existing = listField(podSpec, "volumes");
  const volumes = listField(spec, "volumes").map((item) => {
    const own = findNamed(existing, nameOf(item));
    return own === undefined ? item : withoutRivals(item, own, "volumes");
  });
  return { ...yielded, spec: { ...spec, volumes } };
}
