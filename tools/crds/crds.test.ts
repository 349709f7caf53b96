import { expect, test } from "vitest";
import { istioResources } from "../../src/api/resource-names.ts";
import {
  duration,
  freeForm,
  labels,
  list,
  oneOf,
  optional,
  record,
  text,
  uint32,
} from "../../src/api/schema-fields.ts";
import { listCrds } from "./crds.ts";
import { createRefiner, type Refinements } from "./refinement.ts";
import { convertSchema, type SourceSchema, type StructuralSchema } from "./structural.ts";

function convert(source: unknown, refinements: Refinements = {}): StructuralSchema {
  return convertSchema(source as SourceSchema, "", createRefiner(refinements).refine);
}

/** What apiextensions.k8s.io/v1 asks of a structural schema, as far as ours could miss it. */
function listFaults(schema: StructuralSchema, path: string): readonly string[] {
  const keepsAll = schema["x-kubernetes-preserve-unknown-fields"] === true;
  const isOpenType = keepsAll || schema["x-kubernetes-int-or-string"] === true;
  const forbidden = ["$ref", "additionalItems", "patternProperties", "definitions", "id", "default", "~optional"];
  const { "x-kubernetes-list-map-keys": keys = [], items } = schema;
  return [
    ...(schema.type === undefined && !isOpenType ? [`${path} has no type`] : []),
    ...forbidden.filter((word) => word in schema).map((word) => `${path} has ${word}`),
    ...(schema.properties !== undefined && schema.additionalProperties !== undefined ? [`${path} mixes maps`] : []),
    ...(schema.type === "array" && items === undefined ? [`${path} has no items`] : []),
    ...keys.filter((key) => items?.required?.includes(key) !== true).map((key) => `${path} needs ${key}`),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) => listFaults(field, `${path}.${name}`)),
    ...(schema.additionalProperties === undefined ? [] : listFaults(schema.additionalProperties, `${path}{}`)),
    ...(items === undefined ? [] : listFaults(items, `${path}[]`)),
  ];
}

test.each(listCrds())("$metadata.name is structural, with one stored version", ({ spec }) => {
  for (const { name, schema } of spec.versions) expect(listFaults(schema.openAPIV3Schema, name)).toEqual([]);
  expect(spec.versions.filter(({ storage }) => storage)).toHaveLength(1);
});

test("every kind has a CRD, and they come in the same order each time", () => {
  const crds = listCrds();
  expect(crds.map((crd) => crd.spec.names.kind).sort()).toEqual(Object.keys(istioResources).sort());
  expect(JSON.stringify(listCrds())).toBe(JSON.stringify(crds));
});

test("fields are converted by what they are", () => {
  const source = record(
    {
      name: text("A name."),
      wait: optional(duration("A time.")),
      labels: optional(labels("Labels.")),
      any: optional(freeForm("Anything.")),
      ports: optional(list(uint32("A port."), "Ports.")),
      mode: optional(oneOf(["A", "B"], "A mode.")),
    },
    "A thing.",
  );
  expect(convert(source)).toEqual({
    type: "object",
    description: "A thing.",
    required: ["name"],
    properties: {
      name: { type: "string", description: "A name." },
      wait: { type: "string", description: "A time.", format: "duration" },
      labels: { type: "object", description: "Labels.", additionalProperties: { type: "string" } },
      any: { type: "object", description: "Anything.", "x-kubernetes-preserve-unknown-fields": true },
      ports: {
        type: "array",
        description: "Ports.",
        items: { type: "integer", description: "A port.", minimum: 0, maximum: 4294967295 },
      },
      mode: { type: "string", description: "A mode.", enum: ["A", "B"] },
    },
  });
});

const choice = record({ a: optional(text("A.")), b: optional(text("B.")), c: optional(text("C.")) });

test("of a choice, one field may be set", () => {
  const rulesOf = (fields: readonly string[]) =>
    convert(choice, { "": { oneofs: [fields] } })["x-kubernetes-validations"];
  expect(rulesOf(["a", "b"])).toEqual([
    { rule: "!(has(self.a) && has(self.b))", message: "only one of a, b may be set" },
  ]);
  expect(rulesOf(["a", "b", "c"])).toEqual([
    {
      rule: "has(self.a) ? !(has(self.b) || has(self.c)) : !(has(self.b) && has(self.c))",
      message: "only one of a, b, c may be set",
    },
  ]);
});

test("a refinement reaches its path, or every path with its ending", () => {
  const nested = record({ tls: optional(choice), items: optional(list(record({ tls: optional(choice) }), "Items.")) });
  const one = convert(nested, { "items[].tls": { nullable: ["a"] } });
  expect(one.properties?.["items"]?.items?.properties?.["tls"]?.properties?.["a"]?.nullable).toBe(true);
  expect(one.properties?.["tls"]?.properties?.["a"]?.nullable).toBeUndefined();
  const all = convert(nested, { "**.tls": { aliases: [["old_a", "a"]] } });
  expect(all.properties?.["tls"]?.properties?.["old_a"]).toEqual({ type: "string", description: "A." });
  expect(all.properties?.["items"]?.items?.properties?.["tls"]?.properties?.["old_a"]?.type).toBe("string");
});

test("a refinement of what is not there is a mistake, not a silence", () => {
  expect(() => convert(choice, { "": { nullable: ["d"] } })).toThrow("names d, which is no field");
  const refiner = createRefiner({ "a.b": { maxLength: 1 } });
  convertSchema(choice as unknown as SourceSchema, "", refiner.refine);
  expect(refiner.listUnused()).toEqual(["a.b"]);
});
