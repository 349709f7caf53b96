/**
 * What a CRD says beyond the schema of src/api. The parser reads specs as istiod's webhook does; the API server checks
 * objects before any webhook, and there Istio's own CRDs are the measure: a refinement never refuses what they accept.
 */
import type { CelRule, Refine, StructuralSchema } from "./structural.ts";

export interface Refinement extends Limits {
  /** Groups of fields, of each of which one may be set. */
  readonly oneofs?: readonly (readonly string[])[];
  readonly rules?: readonly CelRule[];
  /** Fields whose null means that they are absent. */
  readonly nullable?: readonly string[];
  /** Second names of fields, as in the .proto files, that Istio's CRDs know: [name, field]. */
  readonly aliases?: readonly (readonly [string, string])[];
  /** Field that tells the items of a list apart. */
  readonly listMapKey?: string;
}

type Limits = Pick<
  StructuralSchema,
  | "minLength"
  | "maxLength"
  | "minItems"
  | "maxItems"
  | "minProperties"
  | "maxProperties"
  | "minimum"
  | "maximum"
  | "pattern"
  | "required"
>;

/** Refinements by path: "" is the spec; "**.tls" stands for "tls" and for every path that ends with ".tls". */
export type Refinements = Readonly<Record<string, Refinement>>;

export interface Refiner {
  readonly refine: Refine;
  /** Keys that met no path of the schema: they are mistakes. */
  listUnused(): readonly string[];
}

export function createRefiner(refinements: Refinements): Refiner {
  const unused = new Set(Object.keys(refinements));
  return {
    refine(schema, path) {
      let refined = schema;
      for (const [key, refinement] of Object.entries(refinements)) {
        if (!isMeant(key, path)) continue;
        unused.delete(key);
        refined = applyRefinement(refined, refinement, path);
      }
      return refined;
    },
    listUnused: () => [...unused],
  };
}

function isMeant(key: string, path: string): boolean {
  return key.startsWith("**.") ? `.${path}`.endsWith(key.slice(2)) : path === key;
}

function applyRefinement(schema: StructuralSchema, refinement: Refinement, path: string): StructuralSchema {
  const { oneofs = [], rules = [], nullable = [], aliases = [], listMapKey, ...limits } = refinement;
  for (const field of [...oneofs.flat(), ...nullable, ...aliases.map(([, field]) => field)]) {
    if (schema.properties?.[field] === undefined)
      throw new Error(`a rule of ${path} names ${field}, which is no field`);
  }
  const allRules = [...(schema["x-kubernetes-validations"] ?? []), ...oneofs.map(atMostOneRule), ...rules];
  const properties = schema.properties === undefined ? undefined : { ...schema.properties };
  for (const field of nullable) {
    if (properties?.[field] !== undefined) properties[field] = { ...properties[field], nullable: true };
  }
  for (const [name, field] of aliases) {
    if (properties?.[field] !== undefined) properties[name] = properties[field];
  }
  return {
    ...schema,
    ...limits,
    ...(properties === undefined ? {} : { properties }),
    ...(allRules.length === 0 ? {} : { "x-kubernetes-validations": allRules }),
    ...(listMapKey === undefined ? {} : mapList(listMapKey)),
  };
}

const mapList = (key: string): StructuralSchema => ({
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": [key],
});

/**
 * Each test is nested in the one before. Together they cost about one step a field, which matters: the API server
 * multiplies the cost by how many items would fit into the largest object, and refuses CRDs that could cost too much.
 */
function atMostOneRule(fields: readonly string[]): CelRule {
  return { rule: atMostOne(fields), message: `only one of ${fields.join(", ")} may be set` };
}

function atMostOne([first, ...others]: readonly string[]): string {
  if (first === undefined || others.length === 0) return "true";
  const another = others.map((field) => `has(self.${field})`).join(" || ");
  const rest = atMostOne(others);
  return rest === "true"
    ? `!(has(self.${first}) && ${another})`
    : `has(self.${first}) ? !(${another}) : ${others.length === 2 ? rest : `(${rest})`}`;
}
