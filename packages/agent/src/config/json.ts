/** Plain data as JSON and YAML hold it, and the few questions that are asked of it. */

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: JsonValue | undefined;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The text in a field; undefined where it is absent, empty or something else. */
export function readText(object: JsonObject | undefined, field: string): string | undefined {
  const value = object?.[field];
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The object in a field; undefined where it is absent or something else. */
export function readObject(object: JsonObject | undefined, field: string): JsonObject | undefined {
  const value = object?.[field];
  return isJsonObject(value) ? value : undefined;
}

/** The texts of a list; others are left out. */
export function readTexts(object: JsonObject | undefined, field: string): readonly string[] {
  const value = object?.[field];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

/** A map of texts: numbers and booleans as people write them count as texts. */
export function readTextMap(object: JsonObject | undefined, field: string): Readonly<Record<string, string>> {
  const entries = Object.entries(readObject(object, field) ?? {}).flatMap(([name, value]) =>
    typeof value === "object" || value === undefined ? [] : [[name, String(value)] as const],
  );
  return Object.fromEntries(entries);
}
