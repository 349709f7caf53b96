import fc from "fast-check";
import { expect, test } from "vitest";
import { parseObject } from "./parse.ts";
import { specSchemas } from "./spec-schemas.ts";

const kinds = [
  ["AuthorizationPolicy", "security.istio.io/v1"],
  ["RequestAuthentication", "security.istio.io/v1beta1"],
  ["Telemetry", "telemetry.istio.io/v1alpha1"],
  ["ProxyConfig", "networking.istio.io/v1beta1"],
  ["WorkloadGroup", "networking.istio.io/v1alpha3"],
  ["PeerAuthentication", "security.istio.io/v1"],
] as const;

interface Node {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly items?: Node;
  readonly properties?: { readonly [name: string]: Node };
  readonly patternProperties?: { readonly [pattern: string]: Node };
}

/** Values that mostly have the form of the schema, so that the checks behind it see them. */
function valuesOf(node: Node): fc.Arbitrary<unknown> {
  const odd = fc.constantFrom<unknown>(null, "", "*", "a", 0, -1, true, [], {}, "1.5s", "https://a", "{}");
  const [map] = Object.values(node.patternProperties ?? {});
  let value: fc.Arbitrary<unknown> = odd;
  if (node.enum !== undefined) value = fc.constantFrom(...node.enum);
  else if (node.items !== undefined) value = fc.array(valuesOf(node.items), { maxLength: 2 });
  else if (map !== undefined) value = fc.dictionary(fc.constantFrom("", "a", "8080", "*"), valuesOf(map));
  else if (node.properties !== undefined) {
    const fields = Object.entries(node.properties).map(([name, field]) => [name, valuesOf(field)] as const);
    value = fc.record(Object.fromEntries(fields), { requiredKeys: [] });
  }
  return fc.oneof({ arbitrary: odd, weight: 1 }, { arbitrary: value, weight: 9 });
}

test.each(kinds)("whatever the spec of a %s is, nothing is thrown", (kind, apiVersion) => {
  const specs = fc.oneof(valuesOf(specSchemas[kind] as Node), fc.object({ maxDepth: 4 }), fc.anything());
  fc.assert(
    fc.property(specs, (spec) => {
      const { object, messages } = parseObject({ apiVersion, kind, metadata: { name: "a" }, spec });
      expect(object === undefined).toBe(messages.some(({ level }) => level === "error"));
      for (const { text, path } of messages) expect([typeof text, typeof path]).toEqual(["string", "string"]);
    }),
    { numRuns: 200 },
  );
});
