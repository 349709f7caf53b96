/**
 * Kubernetes' strategic merge for pods (apimachinery, pkg/util/strategicpatch): objects merge field by field, lists with a
 * merge key item by item, all other lists are replaced. Three things are added, so that the result is a pod that the API
 * server takes, and the same pod again the next time: of fields that exclude each other the overlay's stays alone; a list
 * to which the API server only added defaults counts as the same list, and so does a quantity that it wrote otherwise.
 */
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { field, isList, isObject } from "./pod-fields.ts";
import { isSameQuantity } from "./quantity.ts";

/** Lists of a pod whose items are told apart by a field (patchMergeKey of k8s.io/api/core/v1). */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  ephemeralContainers: "name",
  volumes: "name",
  imagePullSecrets: "name",
  hostAliases: "ip",
  topologySpreadConstraints: "topologyKey",
  resourceClaims: "name",
  schedulingGates: "name",
  ownerReferences: "uid",
  env: "name",
  ports: "containerPort",
  volumeMounts: "mountPath",
  volumeDevices: "devicePath",
};

const handlers = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/** Fields of which an object can have one, by the field that the object stands in. */
const rivals: Readonly<Record<string, readonly string[]>> = {
  env: ["value", "valueFrom"],
  livenessProbe: handlers,
  readinessProbe: handlers,
  startupProbe: handlers,
  postStart: handlers,
  preStop: handlers,
};

const directive = "$patch";

/** Merges an overlay into an object. `place` is the field that the object stands in, "" for a whole pod. */
export function mergeOverlay(base: PlainObject, overlay: PlainObject, place = ""): PlainObject {
  if (overlay[directive] === "delete") return {};
  if (overlay[directive] === "replace") return withoutDirectives(overlay);
  const result: { [name: string]: PlainValue } = { ...withoutRivals(base, overlay, place) };
  for (const [name, value] of Object.entries(overlay)) {
    if (name === directive) continue;
    if (value === null) delete result[name];
    else result[name] = mergeValue({ base: field(result, name), overlay: value, name, place });
  }
  return result;
}

interface Merging {
  readonly base: PlainValue | undefined;
  readonly overlay: PlainValue;
  readonly name: string;
  readonly place: string;
}

function mergeValue({ base, overlay, name, place }: Merging): PlainValue {
  if (base === undefined || base === null) return withoutDirectives(overlay);
  if (isObject(base) && isObject(overlay)) return mergeOverlay(base, overlay, name);
  if (isList(base) && isList(overlay)) {
    const key = mergeKeys[name];
    if (key !== undefined) return mergeItems(base.filter(isObject), overlay.filter(isObject), { key, place: name });
  }
  return isContained(overlay, base, { name, place }) ? base : withoutDirectives(overlay);
}

interface ItemPlace {
  readonly key: string;
  readonly place: string;
}

/**
 * Items of the overlay are merged into those of their key. In the result they have the overlay's order and come before
 * items that only the base has, except where the base's own order says otherwise.
 */
function mergeItems(
  base: readonly PlainObject[],
  overlay: readonly PlainObject[],
  { key, place }: ItemPlace,
): PlainObject[] {
  if (overlay.some((item) => item[directive] === "replace")) {
    return overlay.filter((item) => item[directive] === undefined).map((item) => withoutDirectives(item));
  }
  const touched = new Map<PlainValue, { readonly item: PlainObject; readonly at: number }>();
  const gone = new Set<PlainValue>();
  for (const item of overlay) {
    const id = item[key] ?? null;
    if (item[directive] === "delete") {
      gone.add(id);
      continue;
    }
    const at = base.findIndex((existing) => existing[key] === id);
    const existing = touched.get(id)?.item ?? base[at];
    touched.set(id, { item: existing ? mergeOverlay(existing, item, place) : withoutDirectives(item), at });
  }
  const placed = [...touched.values()];
  const used = new Set(placed.map(({ at }) => at));
  const rest = base
    .map((item, at) => ({ item, at }))
    .filter(({ item, at }) => !used.has(at) && !gone.has(item[key] ?? null));
  // Nothing new: what was sorted after an earlier merge is not sorted back.
  const isKnown = placed.every(({ at }) => at >= 0);
  const result = isKnown ? [...placed, ...rest].sort((a, b) => a.at - b.at) : interleave(placed, rest);
  return result.map(({ item }) => item);
}

interface Placed {
  readonly item: PlainObject;
  /** Index in the base, -1 for a new item. */
  readonly at: number;
}

function interleave(overlay: readonly Placed[], rest: readonly Placed[]): readonly Placed[] {
  const result: Placed[] = [];
  const [right, left] = [[...overlay].reverse(), [...rest].reverse()];
  for (let next = right.at(-1); next !== undefined; next = right.at(-1)) {
    const other = left.at(-1);
    const isOtherFirst = other !== undefined && next.at >= 0 && other.at < next.at;
    result.push(isOtherFirst ? other : next);
    (isOtherFirst ? left : right).pop();
  }
  return [...result, ...left.reverse()];
}

/** Without fields that what somebody stronger says excludes, such as the source of a volume that has another one. */
export function withoutRivals(weaker: PlainObject, stronger: PlainObject, place: string): PlainObject {
  // A volume has one source, which is every field but its name.
  const group =
    place === "volumes" ? Object.keys({ ...weaker, ...stronger }).filter((name) => name !== "name") : rivals[place];
  if (group === undefined) return weaker;
  const isSaid = (name: string) => (field(stronger, name) ?? null) !== null;
  if (!group.some(isSaid)) return weaker;
  return Object.fromEntries(Object.entries(weaker).filter(([name]) => !group.includes(name) || isSaid(name)));
}

/** True where every field of the overlay is in the base as it is. */
function isContained(
  overlay: PlainValue,
  base: PlainValue,
  at: { readonly name: string; readonly place: string },
): boolean {
  if (overlay === base) return true;
  if (isList(overlay) && isList(base)) {
    return overlay.length === base.length && overlay.every((item, index) => isContained(item, base[index] ?? null, at));
  }
  if (isObject(overlay) && isObject(base)) {
    return Object.entries(overlay).every(([name, value]) =>
      isContained(value, field(base, name) ?? null, { name, place: at.name }),
    );
  }
  return isQuantity(at) && isSameQuantity(String(overlay), String(base));
}

const isQuantity = ({ name, place }: { readonly name: string; readonly place: string }): boolean =>
  place === "requests" || place === "limits" || name === "divisor" || name === "sizeLimit";

/** What is new in a pod comes without directives and without nulls, which only mean "not there". */
function withoutDirectives<Value extends PlainValue>(value: Value): Value {
  return strip(value) as Value;
}

function strip(value: PlainValue): PlainValue {
  if (isList(value)) return value.filter((item) => !isObject(item) || item[directive] === undefined).map(strip);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => (name === directive || item === null ? [] : [[name, strip(item)]])),
  );
}

/**
 * The part of an overlay that leaves alone what somebody else has said: merged over that, now or later, it changes
 * nothing of it. Merge keys stay, so that items keep the overlay's order.
 */
export function withoutSaid(overlay: PlainObject, said: PlainObject, place = ""): PlainObject {
  const result: { [name: string]: PlainValue } = {};
  for (const [name, value] of Object.entries(withoutRivals(overlay, said, place))) {
    const own = field(said, name) ?? null;
    if (own === null || name === mergeKeys[place]) result[name] = value;
    else if (isObject(value) && isObject(own)) result[name] = withoutSaid(value, own, name);
    else if (isList(value) && isList(own) && mergeKeys[name] !== undefined) {
      result[name] = itemsWithoutSaid(value.filter(isObject), own.filter(isObject), {
        key: mergeKeys[name],
        place: name,
      });
    }
  }
  return result;
}

const itemsWithoutSaid = (overlay: readonly PlainObject[], said: readonly PlainObject[], { key, place }: ItemPlace) =>
  overlay.map((item) => {
    const own = said.find((candidate) => candidate[key] === item[key]);
    return own === undefined ? item : withoutSaid(item, own, place);
  });
