/**
 * What an injection writes down for the next one: the annotation sidecar.istio.io/status names what was put in, and
 * proxy.istio.io/overrides keeps the containers that the pod brought along, so that their settings count again.
 */
import type { Findings } from "../api/findings.ts";
import type { Labels } from "../api/object.ts";
import type { PlainObject } from "../api/plain-value.ts";
import { annotation } from "./annotation-names.ts";
import { parseJson } from "./parse-json.ts";
import { defined, field, isList, isObject, listField, nameOf } from "./pod-fields.ts";

/** The pod's own settings of containers that templates make, by their names. */
export type Overrides = ReadonlyMap<string, PlainObject>;

export interface InjectionRecord {
  /** Names of containers that an earlier injection made or touched; undefined where there was none. */
  readonly injected: ReadonlySet<string> | undefined;
  readonly overrides: Overrides;
}

export function readRecord(annotations: Labels, findings: Findings): InjectionRecord {
  return { injected: readStatus(annotations[annotation.status]), overrides: readOverrides(annotations, findings) };
}

/** A status that cannot be read is none: the pod is injected as a new one. */
function readStatus(text: string | undefined): ReadonlySet<string> | undefined {
  const status = text === undefined ? undefined : parseJson(text);
  if (!isObject(status)) return undefined;
  const names = ["initContainers", "containers"].flatMap((name) => {
    const list = field(status, name);
    return isList(list) ? list.filter((item): item is string => typeof item === "string") : [];
  });
  return new Set(names);
}

function readOverrides(annotations: Labels, findings: Findings): Overrides {
  const text = annotations[annotation.overrides];
  if (text === undefined) return new Map();
  const parsed = parseJson(text);
  const lists = isObject(parsed) ? ["containers", "initContainers"].map((name) => field(parsed, name) ?? []) : [];
  const isUsable = (list: unknown) =>
    isList(list as never) && (list as readonly never[]).every((item) => isObject(item) && nameOf(item) !== "");
  if (!isObject(parsed) || !lists.every(isUsable)) {
    const path = ["metadata", "annotations", annotation.overrides];
    findings.error(path, "must be JSON with lists of named containers", "annotation");
    return new Map();
  }
  const items = ["containers", "initContainers"].flatMap((name) => listField(parsed, name));
  return new Map(items.map((item) => [nameOf(item), item]));
}

/** Formats overrides by the list that the template has their containers in. */
export function formatOverrides(overrides: Overrides, templateSpec: PlainObject): string {
  const pick = (list: string) => {
    const own = listField(templateSpec, list).flatMap((item) => overrides.get(nameOf(item)) ?? []);
    return own.length === 0 ? undefined : own;
  };
  return JSON.stringify(defined({ containers: pick("containers"), initContainers: pick("initContainers") }));
}

/** Formats what the templates put in, as Istio's own tools read it. */
export function formatStatus(templateSpec: PlainObject, revision: string): string {
  const names = (list: string) => {
    const items = listField(templateSpec, list);
    return items.length === 0 ? null : items.map(nameOf);
  };
  return JSON.stringify({
    initContainers: names("initContainers"),
    containers: names("containers"),
    volumes: names("volumes"),
    imagePullSecrets: names("imagePullSecrets"),
    revision: revision === "" ? "default" : revision,
  });
}
