/** Which fields of a CRD's schema an object sets. */
import type { StructuralSchema } from "../../tools/crds/structural.ts";

/** Every field of a schema with its path, such as "http[].match[].uri.exact"; "" for the schema itself is left out. */
export function listFields(schema: StructuralSchema, path = ""): readonly string[] {
  const named = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === "" ? name : `${path}.${name}`;
    return [at, ...listFields(field, at)];
  });
  const items = schema.items === undefined ? [] : listFields(schema.items, `${path}[]`);
  const values = schema.additionalProperties === undefined ? [] : listFields(schema.additionalProperties, `${path}{}`);
  return [...named, ...items, ...values];
}

/** The fields of the schema that a value has. */
export function listSetFields(schema: StructuralSchema, value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? [] : value.flatMap((item) => listSetFields(items, item, `${path}[]`));
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, field]: readonly [string, unknown]) => {
    const known = schema.properties?.[name];
    if (known !== undefined) {
      const at = path === "" ? name : `${path}.${name}`;
      return [at, ...listSetFields(known, field, at)];
    }
    const { additionalProperties } = schema;
    return additionalProperties === undefined ? [] : listSetFields(additionalProperties, field, `${path}{}`);
  });
}
