/** Fields of pods as plain data. Each reads an own field of the right type, or the empty value of that type. */
import type { Labels } from "../api/object.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";

export function isObject(value: PlainValue | undefined): value is PlainObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const isList = (value: PlainValue | undefined): value is readonly PlainValue[] => Array.isArray(value);

export function field(object: PlainObject, name: string): PlainValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

export function objectField(object: PlainObject, name: string): PlainObject {
  const value = field(object, name);
  return isObject(value) ? value : {};
}

/** The objects of a list. */
export function listField(object: PlainObject, name: string): readonly PlainObject[] {
  const value = field(object, name);
  return isList(value) ? value.filter(isObject) : [];
}

export function textField(object: PlainObject, name: string): string {
  const value = field(object, name);
  return typeof value === "string" ? value : "";
}

/** Labels or annotations. */
export function textsField(object: PlainObject, name: string): Labels {
  const texts = Object.entries(objectField(object, name)).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  // Without a prototype: a label that is asked for by name is one of these or none.
  return Object.assign(Object.create(null) as object, Object.fromEntries(texts)) as Labels;
}

export const nameOf = (item: PlainObject): string => textField(item, "name");

export function findNamed(items: readonly PlainObject[], name: string): PlainObject | undefined {
  return items.find((item) => nameOf(item) === name);
}

/** A copy with some fields replaced, taken away where undefined. */
export function withFields(object: PlainObject, fields: Readonly<Record<string, PlainValue | undefined>>): PlainObject {
  return defined({ ...object, ...fields });
}

/** Without the fields that are undefined. */
export function defined(fields: Readonly<Record<string, PlainValue | undefined>>): PlainObject {
  const result: { [name: string]: PlainValue } = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) result[name] = value;
  return result;
}

/** An object or list where it says something, for fields that are better absent than empty. */
export function unlessEmpty<Value extends PlainObject | readonly PlainValue[]>(value: Value): Value | undefined {
  return (isList(value) ? value.length : Object.keys(value).length) === 0 ? undefined : value;
}
