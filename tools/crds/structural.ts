/**
 * From a schema of src/api to the structural schema that the API server asks of a CRD: every value has a type, nothing
 * is closed by hand (unknown fields are pruned, or refused where the client asks for strictness), and free-form values
 * say that they keep what they do not know.
 */
import { durationPattern } from "../../src/api/schema-fields.ts";

/** A part of a CRD's schema, as apiextensions.k8s.io/v1 names its fields. */
export interface StructuralSchema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly nullable?: boolean;
  readonly properties?: { readonly [name: string]: StructuralSchema };
  readonly additionalProperties?: StructuralSchema;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly anyOf?: readonly { readonly type: string }[];
  readonly "x-kubernetes-validations"?: readonly CelRule[];
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-int-or-string"?: true;
  readonly "x-kubernetes-list-type"?: "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
}

export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

/** The part of JSON Schema that src/api/schema-fields.ts writes. */
export interface SourceSchema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: { readonly [name: string]: SourceSchema };
  readonly patternProperties?: { readonly [pattern: string]: SourceSchema };
  readonly items?: SourceSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** Gets every converted part with its path, such as "http[].match[].headers{}.exact", and may change it. */
export type Refine = (schema: StructuralSchema, path: string) => StructuralSchema;

const anyName = "^.*$";

/** Converts a schema; `path` is that of the schema itself, "" for the spec. Children are refined before their parents. */
export function convertSchema(source: SourceSchema, path: string, refine: Refine): StructuralSchema {
  return refine(convertNode(source, path, refine), path);
}

function convertNode(source: SourceSchema, path: string, refine: Refine): StructuralSchema {
  const texts = source.description === undefined ? {} : { description: source.description };
  switch (source.type) {
    case undefined:
      return { ...texts, "x-kubernetes-preserve-unknown-fields": true };
    case "object":
      return { ...texts, ...convertObject(source, path, refine) };
    case "array":
      return { ...texts, type: "array", items: convertSchema(source.items ?? {}, `${path}[]`, refine) };
    case "string":
      return { ...texts, type: "string", ...describeText(source) };
    case "number":
      return { ...texts, type: "number", format: "double", ...describeRange(source) };
    case "integer":
      return { ...texts, type: "integer", ...describeRange(source) };
    case "boolean":
      return { ...texts, type: "boolean" };
    default:
      throw new Error(`${path}: type ${source.type} has no place in a CRD`);
  }
}

function convertObject(source: SourceSchema, path: string, refine: Refine): StructuralSchema {
  const values = source.patternProperties?.[anyName];
  if (values !== undefined && values.type !== undefined)
    return { type: "object", additionalProperties: convertSchema(values, `${path}{}`, refine) };
  if (source.properties === undefined) return { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const properties: { [name: string]: StructuralSchema } = {};
  for (const [name, field] of Object.entries(source.properties)) {
    properties[name] = convertSchema(field, path === "" ? name : `${path}.${name}`, refine);
  }
  const { required = [] } = source;
  return { type: "object", properties, ...(required.length === 0 ? {} : { required }) };
}

/**
 * The pattern of a duration becomes the format, which the API server refuses with words. A rule would say it better, but
 * rules in lists without a bound are dear, and a DestinationRule has too many durations.
 */
function describeText({ pattern, minLength, maxLength, enum: words }: SourceSchema): StructuralSchema {
  return {
    ...(words === undefined ? {} : { enum: words }),
    ...(minLength === undefined ? {} : { minLength }),
    ...(maxLength === undefined ? {} : { maxLength }),
    ...(pattern === undefined || pattern === durationPattern ? {} : { pattern }),
    ...(pattern === durationPattern ? { format: "duration" } : {}),
  };
}

/** The API server knows the format int32 and does not check it, so the bounds stay. */
function describeRange({ format, minimum, maximum }: SourceSchema): StructuralSchema {
  return {
    ...(format === undefined ? {} : { format }),
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
  };
}
