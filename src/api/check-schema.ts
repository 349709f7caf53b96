/**
 * Checks a value against a schema and says what is wrong in words for people. The compiled TypeBox check decides; this
 * walk over the schema only explains, and knows just the part of JSON Schema that src/api/schema-fields.ts writes.
 * Before, the value is brought into the form that the schema describes: see read-proto-json.ts.
 */
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import type { Findings, Path } from "./findings.ts";
import { findNearestWord } from "./nearest-word.ts";
import { describeType, type PlainValue } from "./plain-value.ts";
import { isList, isObject, mapNodeOf, nodeOf, readProtoJson, type SchemaNode } from "./read-proto-json.ts";
import { durationPattern } from "./schema-fields.ts";

export interface SchemaCheckOptions {
  /** Level of fields that the schema does not know; "error" unless told. They are dropped from the value in any case. */
  readonly unknownFields?: "error" | "warning";
}

export interface SchemaCheck {
  /**
   * The value without empty (null) and unknown fields, undefined where it does not fit the schema. Findings have paths
   * below the place's. The caller owns the type: it is the Static type of the schema.
   */
  check(value: PlainValue, at: CheckedPlace): PlainValue | undefined;
}

export interface CheckedPlace {
  readonly path: Path;
  readonly findings: Findings;
  /** In place of what the check was compiled with. */
  readonly unknownFields?: "error" | "warning" | undefined;
}

/** Compiles a schema once. */
export function compileSchema(schema: TSchema, options: SchemaCheckOptions = {}): SchemaCheck {
  const validator = Compile(schema);
  return {
    check(value, { path, findings, unknownFields = options.unknownFields ?? "error" }) {
      const level = unknownFields;
      const cleaned = readProtoJson(schema as SchemaNode, value, {
        path,
        findings,
        unknown: (at, keys, key) => reportUnknown(at, keys, { key, findings, level }),
      });
      if (validator.Check(cleaned)) return cleaned;
      explain(schema as SchemaNode, cleaned, { path, findings });
      // The walk may know less than the compiled check: never let a bad value through without a word.
      if (!findings.all.some((finding) => finding.level === "error")) {
        findings.error(path, validator.Errors(cleaned)[0]?.message ?? "does not fit the schema", "schema");
      }
      return undefined;
    },
  };
}

interface Walk {
  readonly path: Path;
  readonly findings: Findings;
}

const below = (walk: Walk, step: string | number): Walk => ({ ...walk, path: [...walk.path, step] });

const mostHints = 50;

interface UnknownKey {
  readonly key: string;
  readonly findings: Findings;
  readonly level: "error" | "warning";
}

function reportUnknown(path: Path, known: readonly string[], { key, findings, level }: UnknownKey): void {
  // Somebody who misspells so much needs no more hints, and looking for them takes its time.
  const nearest = findings.all.length > mostHints ? undefined : findNearestWord(key, known);
  const shown = key.length > 100 ? `${key.slice(0, 100)}…` : key;
  const hint = nearest === undefined ? "" : `, did you mean "${nearest}"?`;
  findings[level]([...path, key], `unknown field "${shown}"${hint}`, "unknown-field");
}

function explain(schema: SchemaNode, value: PlainValue, walk: Walk): void {
  const { path, findings } = walk;
  if (schema.type === undefined) return;
  if (!hasType(schema.type, value)) {
    const article = /^[aeiou]/.test(schema.type) ? "an" : "a";
    const expected = schema.type === "array" ? "a list" : `${article} ${schema.type}`;
    const hint = numericHint(schema.type, value);
    findings.error(path, `must be ${expected}, not ${describeType(value)}${hint}`, "wrong-type");
  } else if (typeof value === "string") explainText(schema, value, walk);
  else if (typeof value === "number") explainNumber(schema, value, walk);
  else if (isList(value)) {
    const item = schema.items;
    if (item !== undefined) value.forEach((element, index) => void explain(item, element, below(walk, index)));
  } else if (isObject(value)) explainObject(schema, value, walk);
}

function explainObject(schema: SchemaNode, value: { readonly [key: string]: PlainValue }, walk: Walk): void {
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) walk.findings.error([...walk.path, name], "is required", "required");
  }
  for (const [key, field] of Object.entries(value)) {
    const node = nodeOf(schema, key) ?? mapNodeOf(schema);
    if (node !== undefined) explain(node, field, below(walk, key));
  }
}

function explainText(schema: SchemaNode, value: string, { path, findings }: Walk): void {
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const nearest = findNearestWord(value, schema.enum);
    const hint = nearest === undefined ? "" : `, did you mean "${nearest}"?`;
    findings.error(path, `must be one of ${schema.enum.join(", ")}${hint}`, "enum");
  }
  if (value.length < (schema.minLength ?? 0)) findings.error(path, "must not be empty", "required");
  if (schema.pattern === durationPattern && !new RegExp(durationPattern, "u").test(value)) {
    findings.error(path, 'must be a duration such as "5s", "100ms" or "1h30m"', "duration");
  }
}

function explainNumber(schema: SchemaNode, value: number, { path, findings }: Walk): void {
  const { minimum, maximum } = schema;
  if (minimum !== undefined && value < minimum) findings.error(path, `must be at least ${minimum}`, "out-of-range");
  if (maximum !== undefined && value > maximum) findings.error(path, `must be at most ${maximum}`, "out-of-range");
}

function hasType(type: string, value: PlainValue): boolean {
  if (type === "array") return isList(value);
  if (type === "object") return isObject(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}

function numericHint(type: string, value: PlainValue): string {
  if (type === "string" && typeof value === "number") return ` (write "${value}" in quotes)`;
  if (type === "string" && typeof value === "boolean") return ` (write "${value}" in quotes)`;
  return type === "integer" && typeof value === "number" ? " with decimals" : "";
}
