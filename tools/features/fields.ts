/** The fields of a kind by its schema, and which of them an object sets. */
import { specSchemas } from "../../src/api/spec-schemas.ts";

export const featureKinds = [
  "VirtualService",
  "DestinationRule",
  "Gateway",
  "ServiceEntry",
  "WorkloadEntry",
  "WorkloadGroup",
  "Sidecar",
  "EnvoyFilter",
  "ProxyConfig",
] as const;
export type FeatureKind = (typeof featureKinds)[number];

export interface Field {
  /** From the spec: names joined by dots, "[]" for the items of a list, "{}" for the values of a map. */
  readonly path: string;
  /**
   * Set where a whole part of the schema stands once more: the path where it stands first. Its fields are rows there, and
   * have one translation for all places.
   */
  readonly sameAs?: string;
}

interface Schema {
  readonly properties?: { readonly [name: string]: Schema };
  readonly items?: Schema;
  readonly patternProperties?: { readonly [pattern: string]: Schema };
}

/** Every field of a kind in the order of its schema: those without fields of their own, and parts that stand again. */
export function listFields(kind: FeatureKind): readonly Field[] {
  const places = indexParts(kind);
  const list = (schema: Schema, path: string): readonly Field[] => {
    const [child, childPath] = findElement(schema, path);
    if (child !== undefined) return list(child, childPath);
    const { properties } = schema;
    if (properties === undefined || Object.keys(properties).length === 0) return [{ path }];
    const first = places.get(properties) ?? path;
    if (first !== path) return [{ path, sameAs: first }];
    return Object.entries(properties).flatMap(([name, field]) => list(field, joinPath(path, name)));
  };
  return list(rootOf(kind), "");
}

/** Paths of listFields that a spec sets. Lists and maps without entries set nothing. */
export function findSetFields(kind: FeatureKind, spec: unknown): ReadonlySet<string> {
  const places = indexParts(kind);
  const found = new Set<string>();
  const visit = (schema: Schema, path: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    const [child, childPath] = findElement(schema, path);
    if (child !== undefined) {
      for (const one of listValues(value)) visit(child, childPath, one);
      return;
    }
    const properties = schema.properties ?? {};
    const first = places.get(properties) ?? path;
    if (Object.keys(properties).length === 0 || first !== path) found.add(path);
    for (const [name, field] of Object.entries(properties)) {
      visit(field, joinPath(first, name), (value as Record<string, unknown>)[name]);
    }
  };
  visit(rootOf(kind), "", spec);
  return found;
}

/** True where a path, written as above, leads to something in the schema. */
export function hasPath(kind: FeatureKind, path: string): boolean {
  const steps = path.split(/\.|(?=\[\]|\{\})/);
  let schema: Schema | undefined = rootOf(kind);
  for (const step of steps) {
    if (step === "[]") schema = schema?.items;
    else if (step === "{}") schema = Object.values(schema?.patternProperties ?? {})[0];
    else schema = Object.hasOwn(schema?.properties ?? {}, step) ? schema?.properties?.[step] : undefined;
  }
  return schema !== undefined;
}

/** Where each part of a schema stands first; the same part of the schema has the same object of properties. */
function indexParts(kind: FeatureKind): ReadonlyMap<object, string> {
  const places = new Map<object, string>();
  const visit = (schema: Schema, path: string): void => {
    const [child, childPath] = findElement(schema, path);
    if (child !== undefined) visit(child, childPath);
    const { properties } = schema;
    if (properties === undefined || places.has(properties)) return;
    places.set(properties, path);
    for (const [name, field] of Object.entries(properties)) visit(field, joinPath(path, name));
  };
  visit(rootOf(kind), "");
  return places;
}

/** What a list or map is made of, and its path. */
function findElement({ items, patternProperties }: Schema, path: string): readonly [Schema | undefined, string] {
  if (items !== undefined) return [items, `${path}[]`];
  return [Object.values(patternProperties ?? {})[0], `${path}{}`];
}

const listValues = (value: unknown): readonly unknown[] =>
  typeof value === "object" ? Object.values(value ?? {}) : [];
const joinPath = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);
// A schema's type is far more detailed than what is looked at here.
const rootOf = (kind: FeatureKind): Schema => specSchemas[kind] as unknown as Schema;
