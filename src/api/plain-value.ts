/** Turns whatever a source read into plain JSON data that is safe to walk: the guard in front of every schema. */
import type { Findings, Path } from "./findings.ts";

export type PlainValue = null | boolean | number | string | readonly PlainValue[] | PlainObject;
export interface PlainObject {
  readonly [key: string]: PlainValue;
}

/** No kind of the mesh nests deeper than about 15 levels; more is an attack or a mistake. */
const maxDepth = 60;

/**
 * Copies a value of unknown origin as plain JSON data. Reports, and leaves out, what JSON cannot hold or what is unsafe
 * to carry on: NaN and infinities, functions, the key "__proto__", more than 60 levels. Never throws.
 */
export function copyPlain(value: unknown, path: Path, findings: Findings): PlainValue | undefined {
  return copyValue(value, path, { findings, above: new Set() });
}

interface Copying {
  readonly findings: Findings;
  /** Lists and objects that the value stands in. */
  readonly above: Set<unknown>;
}

function copyValue(value: unknown, path: Path, copying: Copying): PlainValue | undefined {
  const { findings, above } = copying;
  if (path.length > maxDepth) {
    findings.error(path.slice(0, 6), `is nested more than ${maxDepth} levels deep`, "too-deep");
    return undefined;
  }
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    findings.error(path, "must be a finite number", "wrong-type");
    return undefined;
  }
  if (typeof value === "object") {
    if (above.has(value)) {
      findings.error(path, "holds itself", "too-deep");
      return undefined;
    }
    above.add(value);
    const copied = Array.isArray(value) ? copyList(value, path, copying) : copyObject(value, path, copying);
    above.delete(value);
    return copied;
  }
  findings.error(path, `a ${typeof value} cannot be part of an object`, "wrong-type");
  return undefined;
}

function copyList(value: readonly unknown[], path: Path, copying: Copying): PlainValue {
  const items: PlainValue[] = [];
  // Not map(): a sparse list would keep its holes.
  for (let index = 0; index < value.length; index++) {
    items.push(copyValue(value[index] ?? null, [...path, index], copying) ?? null);
  }
  return items;
}

function copyObject(value: object, path: Path, copying: Copying): PlainValue {
  const result: { [key: string]: PlainValue } = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__")
      copying.findings.error([...path, key], 'the name "__proto__" is not allowed', "unknown-field");
    else if (item !== undefined) {
      const copied = copyValue(item, [...path, key], copying);
      if (copied !== undefined) result[key] = copied;
    }
  }
  return result;
}

/** Names the JSON type of a value for messages: "a list", "an object", "a string" and so on. */
export function describeType(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `a ${typeof value}`;
}
