/**
 * Brings a value into the form that a schema describes, with the freedoms that protobuf's JSON gives and istiod's webhook
 * takes (golang/protobuf jsonpb): null is an absent field, names may be written as in the .proto files (snake_case),
 * numbers may stand in quotes, and words of an enum may be given by number. What fits none of these stays as it is, for
 * the check that follows to refuse.
 */
import { parseDuration } from "../lib/duration.ts";
import type { Findings, Path } from "./findings.ts";
import type { PlainValue } from "./plain-value.ts";
import { durationPattern } from "./schema-fields.ts";

/** The part of JSON Schema that src/api/schema-fields.ts writes. */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: { readonly [name: string]: SchemaNode };
  readonly patternProperties?: { readonly [pattern: string]: SchemaNode };
  readonly additionalProperties?: boolean;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  /** In the order of the enum's numbers, from 0. */
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface ReadContext {
  readonly path: Path;
  readonly findings: Findings;
  /** Told of each field that the schema does not know; it is left out. `known` are the names of those that it knows. */
  readonly unknown: (path: Path, known: readonly string[], key: string) => void;
}

/** A number as JSON writes it. */
const numberPattern = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;
const integerPattern = /^-?(0|[1-9][0-9]*)$/;
/** Longest duration in Go, which counts nanoseconds in 64 bits: about 292 years. */
const maxDurationMs = 9_223_372_036_854;

export const isList = (value: PlainValue): value is readonly PlainValue[] => Array.isArray(value);
export const isObject = (value: PlainValue): value is { readonly [key: string]: PlainValue } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Schema of a field of an object; undefined where the object does not name it. */
export function nodeOf(schema: SchemaNode, key: string): SchemaNode | undefined {
  const { properties } = schema;
  return properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
}

/** Schema of the values of a map; undefined for anything else. */
export function mapNodeOf(schema: SchemaNode): SchemaNode | undefined {
  return schema.patternProperties?.["^.*$"];
}

/** The value in the schema's form. Never throws; what is left out or cannot be meant is told to the context. */
export function readProtoJson(schema: SchemaNode, value: PlainValue, context: ReadContext): PlainValue {
  if (isList(value)) {
    const item = schema.items;
    if (item === undefined) return value;
    return value.map((element, index) => readElement(item, element, below(context, index)));
  }
  if (isObject(value)) return readObject(schema, value, context);
  if (typeof value === "string") return readText(schema, value, context);
  return typeof value === "number" ? readNumber(schema, value) : value;
}

const below = (context: ReadContext, step: string | number): ReadContext => ({
  ...context,
  path: [...context.path, step],
});

/** An element of a list or map: there, null stands for the empty value and not for absence. */
function readElement(schema: SchemaNode, value: PlainValue, context: ReadContext): PlainValue {
  return value === null ? emptyValue(schema) : readProtoJson(schema, value, context);
}

function emptyValue(schema: SchemaNode): PlainValue {
  if (schema.enum !== undefined) return schema.enum[0] ?? null;
  switch (schema.type) {
    case "object":
      return {};
    case "string":
      return "";
    case "boolean":
      return false;
    case "integer":
    case "number":
      return 0;
    default:
      return null;
  }
}

function readObject(
  schema: SchemaNode,
  value: { readonly [key: string]: PlainValue },
  context: ReadContext,
): PlainValue {
  const result: { [key: string]: PlainValue } = {};
  const values = mapNodeOf(schema);
  for (const [key, field] of Object.entries(value)) {
    const name = nodeOf(schema, key) === undefined ? toJsonName(key) : key;
    const node = nodeOf(schema, name);
    if (node !== undefined) {
      const isGivenTwice = name !== key && Object.hasOwn(value, name);
      if (field !== null && !isGivenTwice && hasMeaning(node, field, below(context, key))) {
        result[name] = readProtoJson(node, field, below(context, key));
      }
    } else if (values !== undefined) result[key] = readElement(values, field, below(context, key));
    else if (schema.additionalProperties === false) {
      context.unknown(context.path, Object.keys(schema.properties ?? {}), key);
    } else result[key] = field;
  }
  return result;
}

/** False for a number of an enum that has no word: protobuf reads it, and nobody can have meant it. */
function hasMeaning(schema: SchemaNode, value: PlainValue, { path, findings }: ReadContext): boolean {
  if (schema.enum === undefined || typeof value !== "number" || !isInt32(value)) return true;
  if (schema.enum[value] !== undefined) return true;
  findings.warning(path, `${value} has no meaning here and counts as not given`, "enum");
  return false;
}

/** "max_connections" is "maxConnections". */
function toJsonName(key: string): string {
  return key.includes("_") ? key.replaceAll(/_([a-z0-9])/g, (_whole, next: string) => next.toUpperCase()) : key;
}

function readText(schema: SchemaNode, value: string, { path, findings }: ReadContext): PlainValue {
  const text = value.trim();
  if (schema.type === "integer" && integerPattern.test(text)) return Number(text);
  if (schema.type === "number" && numberPattern.test(text)) return Number(text);
  if (schema.pattern === durationPattern && Math.abs(parseDuration(value) ?? 0) > maxDurationMs) {
    findings.error(path, "is longer than 292 years", "duration");
  }
  return value;
}

function readNumber(schema: SchemaNode, value: number): PlainValue {
  return schema.enum !== undefined && isInt32(value) ? (schema.enum[value] ?? value) : value;
}

const isInt32 = (value: number): boolean => Number.isInteger(value) && Math.abs(value) <= 0x7fffffff;
