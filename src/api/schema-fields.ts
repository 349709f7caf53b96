/**
 * The words that the schemas of Istio's kinds are written in. A schema is plain JSON Schema: the TypeScript type, the
 * check of what users write and the CRD all come from it. Values stay as they were written (a duration is text).
 */
import { type TObject, type TProperties, type TSchema, Type } from "typebox";

/** Makes every level of a type readonly: objects of the mesh are shared and never changed. */
export type DeepReadonly<T> = T extends string | number | boolean | bigint | symbol | null | undefined
  ? T
  : T extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : { readonly [Key in keyof T]: DeepReadonly<T[Key]> };

const uint32Max = 4294967295;
const int32Max = 2147483647;

/** An object in which every field is known; a field that the schema does not name is an error for its writer. */
export function record<Properties extends TProperties>(
  properties: Properties,
  description?: string,
): TObject<Properties> {
  return Type.Object(properties, { ...describe(description), additionalProperties: false });
}

/** A field that may be left out. */
export const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(schema);

export const text = (description: string) => Type.String({ description });
/** Text that must not be empty. */
export const name = (description: string) => Type.String({ description, minLength: 1 });
export const flag = (description: string) => Type.Boolean({ description });
export const decimal = (description: string) => Type.Number({ description });
export const int32 = (description: string) =>
  Type.Integer({ description, minimum: -int32Max - 1, maximum: int32Max, format: "int32" });
export const uint32 = (description: string) => Type.Integer({ description, minimum: 0, maximum: uint32Max });
export const uint64 = (description: string) => Type.Integer({ description, minimum: 0 });

/**
 * A duration in Go's notation: decimal numbers with units, such as "1h30m", "5s" or "0.5s". Istio reads both this and
 * the seconds-only notation of protobuf, which is a part of it.
 */
export const durationPattern = "^[-+]?(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[-+]?0$";
export const duration = (description: string) => Type.String({ description, pattern: durationPattern });

/** A list of items of one kind. */
export const list = <Item extends TSchema>(item: Item, description?: string) => Type.Array(item, describe(description));
export const texts = (description: string) => Type.Array(Type.String(), { description });
/** Free names to values. */
export const map = <Value extends TSchema>(value: Value, description?: string) =>
  Type.Record(Type.String(), value, describe(description));
export const labels = (description: string) => map(Type.String(), description);

/** An object of any content, which is for somebody else to read. */
export const freeForm = (description: string) =>
  Type.Unsafe<{ readonly [name: string]: unknown }>({ type: "object", description });

/** One of a few words, exactly as users write them, in the order of their numbers in the .proto files. */
export const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words, description: string) =>
  Type.Unsafe<Words[number]>({ type: "string", enum: words, description });

/** Part of a whole in percent: 0 to 100, decimals allowed. */
export const percent = (description: string) =>
  record({ value: optional(decimal("Percentage from 0 to 100; 0.1 is one request in a thousand.")) }, description);

/** Selects workloads by labels; the form of networking.istio.io and the Sidecar API. */
export const networkSelector = (description: string) =>
  record({ labels: optional(labels("Labels that a workload must have, all of them.")) }, description);

/** Selects workloads by labels; the form of type.istio.io, used by policies. */
export const policySelector = (description: string) =>
  record({ matchLabels: optional(labels("Labels that a workload must have, all of them.")) }, description);

/** How text is compared: exactly one of the fields is set; an empty object asks for presence where that has a sense. */
export const stringMatch = (description: string) =>
  record(
    {
      exact: optional(text("The value must be equal to this text.")),
      prefix: optional(text("The value must start with this text.")),
      regex: optional(text("The whole value must match this regular expression in RE2 syntax.")),
    },
    description,
  );

export const exportTo = optional(
  texts('Namespaces that see this object: a name, "." for its own, "*" for all. All where it is not given.'),
);

function describe(description: string | undefined): { description?: string } {
  return description === undefined ? {} : { description };
}
