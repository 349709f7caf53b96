import { expect, test } from "vitest";
import { meshConfigSchema } from "./mesh-config/schema.ts";
import { specSchemas } from "./spec-schemas.ts";

const schemas = { ...specSchemas, MeshConfig: meshConfigSchema };

interface Node {
  readonly description?: string;
  readonly type?: string;
  readonly additionalProperties?: boolean;
  readonly properties?: { readonly [name: string]: Node };
}

/** Fields of a schema at all depths that say nothing about themselves, and objects that would take any field. */
function listFaults(node: Node, path: string): readonly string[] {
  const own =
    node.type === "object" && node.properties !== undefined && node.additionalProperties !== false
      ? [`${path} is open`]
      : [];
  const below = Object.entries(node.properties ?? {}).flatMap(([name, field]) => [
    ...((field.description ?? "").length > 3 ? [] : [`${path}.${name} has no description`]),
    ...listFaults(field, `${path}.${name}`),
  ]);
  const items = "items" in node ? listFaults(node.items as Node, `${path}[]`) : [];
  return [...own, ...below, ...items];
}

test.each(Object.entries(schemas))("%s is plain JSON Schema, closed, and describes every field", (name, schema) => {
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  expect(JSON.stringify(schema)).not.toMatch(/"(anyOf|oneOf|allOf|\$ref)"/);
  expect(listFaults(schema as Node, name)).toEqual([]);
});
