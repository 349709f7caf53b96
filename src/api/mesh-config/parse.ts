import { parse as parseYaml } from "yaml";
import type { Message, ObjectRef } from "../../lib/message.ts";
import { compileSchema } from "../check-schema.ts";
import { createFindings, type Findings, formatPath } from "../findings.ts";
import { copyPlain, describeType, type PlainObject, type PlainValue } from "../plain-value.ts";
import { defaultMeshConfig } from "./defaults.ts";
import { type MeshConfig, meshConfigSchema } from "./schema.ts";

/** Istio reads past fields that it does not know here, so that one ConfigMap serves several versions; we say so. */
const check = compileSchema(meshConfigSchema, { unknownFields: "warning" });

export interface ParsedMeshConfig {
  /** Absent where there are errors: the caller keeps what it had. */
  readonly mesh?: MeshConfig;
  readonly messages: readonly Message[];
}

const configMap: ObjectRef = { kind: "ConfigMap", namespace: "istio-system", name: "istio" };

/**
 * Parses a mesh configuration (YAML text or plain data) and lays it over `below`, by default Istio's own defaults. Rules
 * of pkg/config/mesh/mesh.go: a field replaces, nested messages merge field by field, lists replace; proxyMetadata
 * merges by name, extensionProviders are added or replaced by name, trust-domain aliases lose doubles.
 * `object` names the ConfigMap in messages.
 */
export function parseMeshConfig(
  content: unknown,
  options: { readonly below?: MeshConfig; readonly object?: ObjectRef } = {},
): ParsedMeshConfig {
  const findings = createFindings();
  const plain = readPlain(content, findings);
  const checked = plain === undefined ? undefined : check.check(plain, [], findings);
  const object = options.object ?? configMap;
  const messages = findings.all.map(
    ({ level, code, path, text }): Message => ({ level, code, object, path: formatPath(path), text }),
  );
  if (!isPlainObject(checked) || messages.some((message) => message.level === "error")) return { messages };
  const below = options.below ?? defaultMeshConfig;
  const merged = mergeObjects(below as unknown as PlainObject, checked);
  const mesh = {
    ...merged,
    trustDomainAliases: [...new Set((merged["trustDomainAliases"] as readonly string[] | undefined) ?? [])],
    extensionProviders: mergeByName(
      below.extensionProviders as unknown as readonly PlainObject[],
      checked["extensionProviders"],
    ),
  };
  // The schema has proved the overlay and the types prove what lies below it.
  return { mesh: mesh as unknown as MeshConfig, messages };
}

function readPlain(content: unknown, findings: Findings): PlainValue | undefined {
  let value = content;
  if (typeof content === "string") {
    try {
      value = parseYaml(content, { maxAliasCount: 100, logLevel: "error", uniqueKeys: true });
    } catch (cause: unknown) {
      findings.error(
        [],
        `is not valid YAML: ${cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause)}`,
        "yaml",
      );
      return undefined;
    }
  }
  const plain = copyPlain(value ?? {}, [], findings);
  if (plain !== undefined && !isPlainObject(plain)) {
    findings.error([], `must be an object, not ${describeType(plain)}`, "wrong-type");
    return undefined;
  }
  return plain;
}

function isPlainObject(value: PlainValue | undefined): value is PlainObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mergeObjects(below: PlainObject, above: PlainObject): PlainObject {
  const result: { [key: string]: PlainValue } = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = Object.hasOwn(below, key) ? below[key] : undefined;
    result[key] = isPlainObject(under) && isPlainObject(value) ? mergeObjects(under, value) : value;
  }
  return result;
}

function mergeByName(below: readonly PlainObject[], above: PlainValue | undefined): readonly PlainObject[] {
  const added = (Array.isArray(above) ? above : []).filter(isPlainObject);
  const replaced = new Map(added.map((item) => [item["name"], item]));
  const kept = below.map((item) => replaced.get(item["name"]) ?? item);
  const known = new Set(below.map((item) => item["name"]));
  return [...kept, ...added.filter((item) => !known.has(item["name"]))];
}
